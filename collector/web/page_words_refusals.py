"""The words of refusals: what kind each is, and the sentences that say why, as the collector says them in English."""

from collections.abc import Mapping, Sequence

from collector.documents.word import Word

REFUSALS: Mapping[str, Word] = {
    "refused.malformed": Word("This cannot be asked so", "请求有误"),
    "refused.not_canonical": Word("The payload is not in its one spelling", "载荷不是规范形式"),
    "refused.bad_signature": Word("The signature does not verify", "签名验证失败"),
    "refused.unknown_key": Word("No such key is enrolled", "密钥未登记"),
    "refused.unauthorized": Word("This page needs a login", "请先登录"),
    "refused.revoked_key": Word("The key is revoked", "密钥已吊销"),
    "refused.wrong_node": Word("The key speaks for another node", "密钥属于其他节点"),
    "refused.forbidden": Word("This is not yours to read, or to say", "无权查看或执行"),
    "refused.not_found": Word("There is nothing here", "此处无内容"),
    "refused.invite_unknown": Word("No such invite", "邀请不存在"),
    "refused.method_not_allowed": Word("This cannot be done at this address", "此地址不支持该操作"),
    "refused.sequence": Word("The report is not the next one of its chain", "上报顺序不连续"),
    "refused.unknown_base": Word(
        "What the reports were compressed against is not kept", "上报所依据的压缩基准未保留"
    ),
    "refused.fork": Word("The chain went on differently", "上报链已分叉"),
    "refused.invite_used": Word("The invite was used by another key", "邀请已被其他密钥使用"),
    "refused.conflict": Word("It is so already", "与现状冲突"),
    "refused.invite_expired": Word("The invite has expired", "邀请已过期"),
    "refused.too_large": Word("More than the collector takes at once", "超出单次可接收的大小"),
    "refused.clock_unsound": Word(
        "The clocks of the report cannot be true", "上报所载时钟不可能属实"
    ),
    "refused.future_version": Word(
        "A newer version than this collector knows", "版本高于本采集端所支持"
    ),
    "refused.over_budget": Word(
        "The key has sent more than it may in an hour", "该密钥一小时内发送过多"
    ),
    "refused.internal": Word(
        "The collector contradicts itself, and hands nothing out", "采集端数据自相矛盾，停止提供"
    ),
    "refused.overloaded": Word("The collector cannot take this now", "采集端暂时无法受理"),
    "exact_reason": Word("{}", "原因（采集端英文原文）：{}"),
}

SENTENCES: Sequence[Word] = (
    # What is not there
    Word("{}: no such contract", "没有合同 {}"),
    Word("there is no contract {} yet", "尚无合同 {}"),
    Word(
        "as of {} there was no contract {} yet: ask as of a later instant",
        "截至 {} 尚无合同 {}：请指定更晚的时刻",
    ),
    Word("no such node", "没有该节点"),
    Word("no such GPU on this node", "该节点上没有该 GPU"),
    Word("the log has no such entry", "日志中没有该条目"),
    Word("entry {} is no notice of this contract", "条目 {} 不是本合同的通知"),
    Word("there is no notice {} that this login may give", "本次登录不可发出通知 {}"),
    Word("{}: no period of this contract that has begun", "{}：本合同没有已开始的该结算周期"),
    Word("the statement of this period has no such outage", "该期结算单中没有该中断"),
    Word(
        "the period is being settled: load the page again in a moment",
        "该期正在结算：请稍后重新载入本页",
    ),
    Word("no provider is configured: log in by token", "未配置身份提供方：请使用令牌登录"),
    Word("Not Found", "没有该页面"),
    Word("Method Not Allowed", "该页面不支持此操作"),
    # Who asks
    Word("the token is not known", "该令牌无效"),
    Word(
        "log in, or show a token: Authorization: Bearer TOKEN",
        "请登录，或出示令牌：Authorization: Bearer TOKEN",
    ),
    Word("not for role {}", "角色 {} 无此权限"),
    Word("this entry is of another contract", "该条目属于其他合同"),
    Word("this login does not speak for {}", "本次登录不代表 {}"),
    Word("a page of another site asks", "请求来自其他网站的页面"),
    Word(
        "this form is not one of this login: open its page again",
        "该表单不属于本次登录：请重新打开其页面",
    ),
    # What is asked
    Word("this is no form", "不是有效表单"),
    Word("the body is over {} bytes", "内容超过 {} 字节"),
    Word("the body is not what its headers say", "内容与其标头不符"),
    Word("{} must be a whole number from {} to {}", "{} 须为 {} 至 {} 的整数"),
    Word("after is not what a page before gave", "after 不是前一页所给出的值"),
    Word("format must be one of {}", "format 须为以下之一：{}"),
    Word("sort is one of {}", "sort 须为以下之一：{}"),
    Word("this format needs the package {}", "该格式需要安装软件包 {}"),
    # Times and periods
    Word("period is missing: a month such as 2026-10", "缺少 period：月份，如 2026-10"),
    Word("that instant is not over yet", "该时刻尚未过去"),
    Word(
        "{} is not an instant such as 2026-11-08T00:00:00Z",
        "{} 不是有效时刻，例：2026-11-08T00:00:00Z",
    ),
    Word("from and until are needed: instants of the window", "需填写 from 与 until：时间段的起止"),
    Word("a window ends after it begins, and within {} days", "时间段须先起后止，且不超过 {} 天"),
    Word("the window is not over yet", "该时间段尚未结束"),
    Word(
        "as of an instant before the end of the window nothing can be certified",
        "数据截至时刻早于时间段结束，无法出具证书",
    ),
    Word(
        "{} is no period such as 2026-10, 2026-Q4, 2026 or 2026-10-05",
        "{} 不是结算周期，例：2026-10、2026-Q4、2026 或 2026-10-05",
    ),
    Word("no month of this contract starts on {}", "本合同没有自 {} 起的合同月"),
    Word("no quarter of this contract starts on {}", "本合同没有自 {} 起的合同季"),
    Word("no year of this contract starts on {}", "本合同没有自 {} 起的合同年"),
    Word("{} is incomplete, and part of {}", "{} 不完整，并入 {}"),
    Word("{} lies outside the term of {}, {} to {}", "{} 不在 {} 的合同期内（{} 至 {}）"),
    Word("{} had not begun yet: ask for an earlier period", "{} 尚未开始：请选择更早的结算周期"),
    # What the collector cannot do now
    Word("the document was not made in {} s", "{} 秒内未能生成文件"),
    Word(
        "the document was not made; the collector's messages say why",
        "文件未能生成；原因见采集端的日志消息",
    ),
    Word("too many documents are asked for at once", "同时请求的文件过多"),
    Word("it was not settled: the collector stops", "未能结算：采集端正在停止"),
    Word("it was not settled: the process ended {}", "未能结算：结算进程已结束（{}）"),
    Word(
        "so much was asked in your name that is not answered yet",
        "以您的名义已有过多请求尚未得到答复",
    ),
    Word(
        "it failed; the log of the collector's process says why",
        "处理失败；原因见采集端进程的日志",
    ),
    Word("too many reports are waiting", "等待处理的上报过多"),
    Word("the collector is stopping", "采集端正在停止"),
    Word("the body did not come in time", "内容未能及时送达"),
    Word("nothing can be stored: {}", "无法存储：{}"),
    Word("it cannot be entered: {}", "无法写入：{}"),
    # What the provider of a login says
    Word("nothing here is granted to {}", "{} 在此没有任何权限"),
    Word("the answer is not one to this login", "该答复不属于本次登录"),
    Word("the answer is another provider's", "该答复来自其他身份提供方"),
    Word("the provider says {}", "身份提供方答复 {}"),
    Word("this login was not begun here, or too long ago", "登录并非由此发起，或已超时"),
    Word("the provider's word does not hold: {}", "身份提供方的凭证无效：{}"),
    Word("the provider speaks of two people", "身份提供方所述为两人"),
    Word("{} answers {}", "{} 答复 {}"),
)
"""The English is what was said, to the letter, whatever stands in its places; that stays as it is."""
