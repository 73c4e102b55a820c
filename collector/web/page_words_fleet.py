"""Words of the pages of the fleet: plots, nodes and GPUs, the log, the audit."""

from collections.abc import Mapping

from collector.documents.word import Word

FLEET: Mapping[str, Word] = {
    # Plots
    "plot_of": Word("{} from {} to {}", "{}：{} 至 {}"),
    "plot_line": Word("{}: {} to {}", "{}：{} 至 {}"),
    "plot_line_flat": Word("{}: {}", "{}：{}"),
    "plot_line_unseen": Word("{}: nothing was seen", "{}：无观测"),
    "plot_gaps": Word("{} stretches without a value", "{} 段无数据"),
    "plot_gap": Word("not seen: {}", "未观测：{}"),
    "plot_empty": Word("Nothing was seen from {} to {}", "{} 至 {} 无观测"),
}
