"""Words of the pages of the fleet: plots, nodes and GPUs, the log, the audit."""

from collections.abc import Mapping

from collector.documents.word import Word

FLEET: Mapping[str, Word] = {
    # Plots
    "plot_of": Word("{} from {} to {}", "{}：{} 至 {}"),
    "plot_line": Word("{}: {} to {}", "{}：{} 至 {}"),
    "plot_line_flat": Word("{}: {}", "{}：{}"),
    "plot_line_unseen": Word("{}: nothing was seen", "{}：无观测"),
    "plot_gaps": Word("Stretches without a value: {}", "无数据的时段数：{}"),
    "plot_gap": Word("not seen: {}", "未观测：{}"),
    "plot_empty": Word("Nothing was seen from {} to {}", "{} 至 {} 无观测"),
    "plot.power": Word("Power", "功耗"),
    "plot.use": Word("Use", "利用率"),
    "plot.activity": Word("Activity of the chip", "芯片活跃度"),
    "plot.memory": Word("Memory in use", "显存占用"),
    "plot.temperature": Word("Temperature", "温度"),
    "plot.clocks": Word("Clocks", "时钟频率"),
    "plot.ecc": Word("ECC errors since the driver was loaded", "ECC 错误（自驱动加载起）"),
    "plot.links": Word("NVLinks that are up", "已连通 NVLink"),
    "window.day": Word("The last day", "最近一天"),
    "window.month": Word("The last 30 days", "最近 30 天"),
    "drawn_from_all": Word(
        "Drawn from all {} reports of this time.", "据该时段全部 {} 份报告绘制。"
    ),
    "drawn_from": Word(
        "Drawn from {} reports of the log, one in about {}: what lies between is not shown. Grey: nothing was seen.",
        "据日志中 {} 份报告绘制，约每 {} 一份：其间数据未显示。灰色：无观测。",
    ),
    "drawn_range": Word(
        "Each line is the range over the GPUs of the node, from the least to the most.",
        "每条线为该节点各 GPU 的最小值至最大值范围。",
    ),
    "nothing_to_draw": Word("No reading was reported in this time.", "该时段未上报任何读数。"),
    "reason.removed": Word(
        "the report has left the store by the contract's terms", "报告已按合同条款移出存储"
    ),
    # Nodes and GPUs
    "gpu_states_count": Word("{} of {} GPUs are healthy", "{1} 张 GPU 中 {0} 张健康"),
    "to_the_node": Word("Node {}", "节点 {}"),
    "at_a_glance": Word("At a glance", "概览"),
    "whole_catalogue": Word("Every reading as it was reported ({})", "全部原始读数（{} 项）"),
    "xid_counted": Word("XID {}", "XID {}"),
    "of_most": Word("{} of {}", "{} / {}"),
    "switched_on": Word("on", "开启"),
    "switched_off": Word("off", "关闭"),
    "answer_yes": Word("yes", "是"),
    "answer_no": Word("no", "否"),
    "badge.unjudged": Word("UNDER NO CONTRACT", "无合同"),
    "reading.power_draw_milliwatts": Word("Power", "功耗"),
    "reading.power_limit_enforced_milliwatts": Word("Power limit", "功耗上限"),
    "reading.utilization_gpu_percent": Word("Use of the GPU", "GPU 利用率"),
    "reading.utilization_memory_percent": Word("Use of the memory", "显存读写利用率"),
    "reading.sm_active_permyriad": Word("Multiprocessors at work", "SM 活跃度"),
    "reading.tensor_active_permyriad": Word("Tensor pipes at work", "张量核心活跃度"),
    "reading.dram_active_permyriad": Word("Memory bandwidth in use", "显存带宽占用"),
    "reading.memory_used_bytes": Word("Memory in use", "显存占用"),
    "reading.temperature_gpu_celsius": Word("Temperature of the GPU", "GPU 温度"),
    "reading.temperature_memory_celsius": Word("Temperature of the memory", "显存温度"),
    "reading.sm_clock_megahertz": Word("Clock of the multiprocessors", "SM 时钟"),
    "reading.memory_clock_megahertz": Word("Clock of the memory", "显存时钟"),
    "reading.clocks_event_reasons_flags": Word("What holds the clocks down", "降频原因"),
    "reading.recovery_action_code": Word("Recovery that the driver asks for", "驱动要求的恢复操作"),
    "reading.ecc_mode_code": Word("Error correction (ECC)", "纠错（ECC）"),
    "reading.ecc_total_uncorrected_volatile_count": Word(
        "Uncorrected memory errors since the driver was loaded", "不可纠正错误（自驱动加载起）"
    ),
    "reading.ecc_total_corrected_volatile_count": Word(
        "Corrected memory errors since the driver was loaded", "可纠正错误（自驱动加载起）"
    ),
    "reading.remapped_uncorrectable_rows": Word(
        "Rows of memory remapped after uncorrected errors", "因不可纠正错误重映射的行"
    ),
    "reading.remap_failure_code": Word("A remapping of memory failed", "行重映射失败"),
    "reading.pcie_link_generation": Word("PCI Express generation", "PCIe 代数"),
    "reading.pcie_link_width_lanes": Word("PCI Express lanes", "PCIe 通道数"),
    "reading.nvlink_active_links": Word("NVLinks that are up", "已连通 NVLink"),
    "reading.energy_millijoules": Word(
        "Energy since the driver was loaded", "能耗（自驱动加载起）"
    ),
    "reading.fan_speed_percent": Word("Fan", "风扇"),
    "reading.serial": Word("Serial number", "序列号"),
    "reading.pci_bus_id": Word("PCI address", "PCI 地址"),
    "reading.vbios_version": Word("Video BIOS", "VBIOS 版本"),
    "limiter.none": Word("nothing", "无"),
    "limiter.idle": Word("idle", "空闲"),
    "limiter.application_clocks": Word("clocks that were set", "已设定的应用时钟"),
    "limiter.sw_power_cap": Word("power limit", "功耗上限"),
    "limiter.hw_slowdown": Word("hardware slowdown", "硬件降频"),
    "limiter.sync_boost": Word("sync-boost group", "同步加速组"),
    "limiter.sw_thermal": Word("heat, by the driver", "过热（驱动）"),
    "limiter.hw_thermal": Word("heat, by the hardware", "过热（硬件）"),
    "limiter.hw_power_brake": Word("power brake from outside", "外部电源制动"),
    "limiter.display_clocks": Word("display clocks", "显示时钟"),
    "limiter.board_limit": Word("the board's limit", "板卡上限"),
    "limiter.reliability": Word("reliability limit", "可靠性上限"),
    "recovery.none": Word("none", "无"),
    "recovery.gpu_reset": Word("reset the GPU", "重置 GPU"),
    "recovery.node_reboot": Word("reboot the node", "重启节点"),
    "recovery.drain_p2p": Word("drain peer traffic", "排空点对点流量"),
    "recovery.drain_and_reset": Word("drain and reset", "排空并重置"),
    "recovery.recover_imex_domain": Word("recover the IMEX domain", "恢复 IMEX 域"),
    "recovery.bus_reset": Word("reset the bus", "重置总线"),
    "recovery.system_reboot": Word("reboot the system", "重启系统"),
}
