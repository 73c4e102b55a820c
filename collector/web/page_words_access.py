"""The words of logins."""

from collections.abc import Mapping

from collector.documents.word import Word

ACCESS: Mapping[str, Word] = {
    "log_in": Word("Log in", "登录"),
    "log_out": Word("Log out", "退出登录"),
    "token": Word("Token", "令牌"),
    "token_is": Word(
        "The token that the collector's keeper gave you. It is sent to this collector alone.",
        "采集端管理员提供给您的令牌，仅发送至本采集端。",
    ),
    "token_unknown": Word("This token is not known.", "该令牌无效。"),
    "try_later": Word(
        "Too many wrong tokens came from your address: try again in {} s.",
        "来自您所在地址的错误令牌过多，请在 {} 秒后重试。",
    ),
    "log_in_by": Word("Log in with {}", "通过 {} 登录"),
    "provider_silent": Word(
        "{} does not answer now: try again later, or log in by token.",
        "{} 目前无响应：请稍后重试，或使用令牌登录。",
    ),
    "provider_refused": Word("Nobody was logged in: {}.", "未能登录：{}。"),
    "left_here": Word("You are logged out here", "您已退出本采集端"),
    "leave_there": Word("Log out at {} too", "同时退出 {}"),
    "logged_in_as": Word("You are logged in.", "您已登录。"),
    "log_in_first": Word("Log in, or as somebody else", "登录，或更换身份登录"),
    "role.admin": Word("administrator", "管理员"),
    "role.auditor": Word("auditor", "审计员"),
    "role.ops": Word("operations", "运维"),
}
