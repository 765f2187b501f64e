"""Every word of the page, in English and in Simplified Chinese, and how a visitor's language is found.

A text is named once and stands in both languages side by side. Components show it through gr.I18n (the browser chooses); HTML
that Python writes asks `language(request)`; scripts get all texts and choose as the browser does. Braces are filled in where
a text is used. Texts of one part share a prefix: `explorer_` goes to the explorer, `tour_` to the tour.
"""
# ruff: noqa: RUF001, E501 (multiplication signs, dashes and Chinese punctuation are meant; a text is one line)

from __future__ import annotations

import gradio as gr

LANGUAGES = ("en", "zh")

# name: (English, Simplified Chinese)
TEXTS: dict[str, tuple[str, str]] = {
    # -- page
    "sentence": (
        "Next-scale prediction: the model draws a whole token map at once, first the coarsest, then ever finer ones, and each map adds the detail that the maps before it left out.",
        "下一尺度预测：模型一次画出一整张词元图，先最粗，再逐级变细；每张图都补上前面各图还缺的细节。",
    ),
    "tab_draw": ("Watch it draw", "看它作画"),
    "tab_tokenize": ("Tokenize a picture", "把图片变成词元"),
    "tab_masks": ("Masks and memory", "掩码与记忆"),
    "tab_lowrank": ("Exact or low-rank", "精确还是低秩"),
    "tab_cost": ("How the cost grows", "代价如何增长"),
    "tab_edit": ("Edit", "编辑"),
    # -- controls of a run
    "model": ("Model", "模型"),
    "model_in_folder": ("{name} (from a folder)", "{name}（来自文件夹）"),
    "model_published": ("VAR-d16 (published)", "VAR-d16（官方权重）"),
    "class": ("Class", "类别"),
    "seed": ("Seed", "随机种子"),
    "guidance": ("Guidance", "引导强度"),
    "guidance_info": ("0 switches it off", "0 表示关闭"),
    "temperature": ("Temperature", "温度"),
    "temperature_info": ("higher is more varied", "越高越多样"),
    "top_k": ("Top-k", "Top-k"),
    "top_k_info": ("0 keeps all codes", "0 表示保留全部编码"),
    "top_p": ("Top-p", "Top-p"),
    "top_p_info": ("1 keeps all codes", "1 表示保留全部编码"),
    "sampling": ("Sampling and attention", "采样与注意力"),
    "generate": ("Generate", "生成"),
    "stop": ("Stop", "停止"),
    "stopped": ("Stopped. The scales drawn so far stay on the page.", "已停止。已画出的尺度仍留在页面上。"),
    # -- attention back end
    "back_end": ("Attention", "注意力"),
    "back_end_info": ("how attention is computed while drawing", "作画时如何计算注意力"),
    "back_end_exact": ("exact", "精确"),
    "back_end_poly": ("polynomial", "多项式"),
    "back_end_landmark": ("landmarks", "地标"),
    "back_end_pool": ("pooled keys", "池化的键"),
    "back_end_auto": ("automatic", "自动"),
    "polynomial": ("Polynomial", "多项式"),
    "polynomial_info": ("in place of the exponential", "代替指数函数"),
    "polynomial_2": ("degree 2", "2 次"),
    "polynomial_2_calibrated": ("degree 2, calibrated", "2 次，已校准"),
    "polynomial_4": ("degree 4", "4 次"),
    "polynomial_4_calibrated": ("degree 4, calibrated", "4 次，已校准"),
    "landmarks": ("Landmarks per head", "每头的地标数"),
    "landmarks_info": ("fixed points that stand for all keys", "代表所有键的固定点"),
    "factor": ("Pooling", "池化"),
    "factor_info": ("fine maps, averaged", "对细尺度取平均"),
    "factor_2": ("2 × 2 tokens", "2 × 2 个词元"),
    "factor_4": ("4 × 4 tokens", "4 × 4 个词元"),
    "landmark_counts": ("landmarks", "地标数"),
    "calibrated_degrees": ("calibrated degrees", "已校准的次数"),
    "not_stored": (
        "attention = '{name}': this model has these {what} stored: {stored}. python -m var_mini train landmarks makes others.",
        "attention = '{name}'：该模型只存有这些{what}：{stored}。用 python -m var_mini train landmarks 可制作其他的。",
    ),
    "none_stored": ("none", "无"),
    # -- the explorer
    "explorer_facts": (
        "{name} · {size} × {size} px · {scales} scales, {tokens} tokens · {codes} codes",
        "{name} · {size} × {size} 像素 · {scales} 个尺度，{tokens} 个词元 · {codes} 个编码",
    ),
    "explorer_recorded": ("A recorded run. Press Generate to draw one yourself.", "这是一次录制好的运行。点击“生成”亲自画一张。"),
    "explorer_preparing": (
        "Preparing {model}. The first run also loads its weights.",
        "正在准备 {model}。第一次运行还要载入权重。",
    ),
    "explorer_drawing": ("Scale {done} of {scales} is drawn.", "已画完第 {done} / {scales} 个尺度。"),
    "explorer_done": (
        "All {scales} scales are drawn: {scales} forward passes for {tokens} tokens.",
        "{scales} 个尺度都已画完：{tokens} 个词元只用了 {scales} 次前向计算。",
    ),
    "explorer_failed": ("The run ended early: {error}", "运行提前结束：{error}"),
    "explorer_strip": ("Scales from coarse to fine. Scroll sideways to see all.", "从粗到细的各个尺度。左右滚动可查看全部。"),
    "explorer_scrubber": ("Scale shown", "显示的尺度"),
    "explorer_scale_of": ("scale {scale} of {scales}", "第 {scale} / {scales} 个尺度"),
    "explorer_play": ("Play the scales", "播放各尺度"),
    "explorer_pause": ("Pause", "暂停"),
    "explorer_added": ("Only what each scale added", "只看每个尺度补上的部分"),
    "explorer_layer": ("layer", "层"),
    "explorer_head": ("head", "头"),
    "explorer_tokens": ("{count} tokens", "{count} 个词元"),
    "explorer_one_token": ("1 token", "1 个词元"),
    "explorer_milliseconds": ("{value} ms", "{value} 毫秒"),
    "explorer_phase_attention": ("attention", "注意力"),
    "explorer_phase_rest": ("rest of the transformer", "变换器其余部分"),
    "explorer_phase_decoder": ("decoder", "解码器"),
    "explorer_entropy_of": ("entropy {value}", "熵 {value}"),
    "explorer_map_empty": ("Token map {side} by {side}, not drawn yet.", "{side} × {side} 的词元图，尚未画出。"),
    "explorer_map": (
        "Token map {side} by {side}. Arrow keys move, Enter shows attention. Code numbers row by row: {codes}",
        "{side} × {side} 的词元图。方向键移动，回车显示注意力。逐行的编码：{codes}",
    ),
    "explorer_image": (
        "{subject}, decoded after scale {scale} of {scales}",
        "{subject}，第 {scale} / {scales} 个尺度之后的解码图像",
    ),
    "explorer_image_added": (
        "What scale {scale} of {scales} added to the image of {subject}; grey means nothing",
        "第 {scale} / {scales} 个尺度给“{subject}”补上的部分；灰色表示没有变化",
    ),
    "explorer_caption": ("{subject}, after scale {scale} of {scales}", "{subject}，第 {scale} / {scales} 个尺度之后"),
    "explorer_caption_added": (
        "Added by scale {scale} of {scales}; grey: nothing",
        "第 {scale} / {scales} 个尺度补上的部分；灰色：无变化",
    ),
    "explorer_token_hint": (
        "Point at a token map, or move over it with the arrow keys, to see which code stands there and what else was likely.",
        "把指针移到词元图上，或用方向键移动，就能看到那里是哪个编码，以及还有哪些可能。",
    ),
    "explorer_token": ("Row {row}, column {column} of {side} × {side}", "{side} × {side} 的第 {row} 行第 {column} 列"),
    "explorer_code": ("code {code} of {codes}", "编码 {code}（共 {codes} 个）"),
    "explorer_chosen": (
        "drawn with probability {probability}; entropy {entropy} nats",
        "抽中概率 {probability}；熵 {entropy} 奈特",
    ),
    "explorer_candidates": ("Most likely codes", "最可能的编码"),
    "explorer_attention_hint": (
        "Click, or press Enter, to see where it attends on this and all coarser scales.",
        "点击或按回车，查看它在本尺度和所有更粗尺度上关注哪里。",
    ),
    "explorer_attends": ("Layer {layer}, head {head} attends to: {shares}", "第 {layer} 层第 {head} 头的注意力分布：{shares}"),
    "explorer_blocks": ("Attention from scale to scale", "尺度之间的注意力"),
    "explorer_blocks_note": (
        "Each row is a scale that was being drawn; its numbers, in percent, say how much of its attention went to each scale drawn so far.",
        "每一行是一个正在画的尺度；数字（百分比）表示它把多少注意力给了已画出的各个尺度。",
    ),
    "explorer_blocks_caption": (
        "Percent, layer {layer}, head {head}, mean over the tokens of a row",
        "百分比，第 {layer} 层第 {head} 头，对该行所有词元取平均",
    ),
    # -- more seeds, nearest images, export, link
    "more": ("Eight seeds", "八个种子"),
    "more_title": ("Seeds {first} to {last} of {subject}", "{subject}：种子 {first} 到 {last}"),
    "nearest": ("Nearest training images", "最接近的训练图片"),
    "nearest_title": (
        "Did the model copy? The training images nearest to the drawn one",
        "模型在抄袭吗？与所画图片最接近的训练图片",
    ),
    "nearest_note": ("Distance: root mean square over pixels; black to white is 2.", "距离：像素的均方根；黑到白为 2。"),
    "drawn": ("drawn", "所画"),
    "export_png": ("Save PNG", "保存 PNG"),
    "export_gif": ("Save GIF", "保存 GIF"),
    "export_trace": ("Save trace", "保存记录"),
    "load_trace": ("Open trace", "打开记录"),
    "export_link": ("Copy link", "复制链接"),
    "export_copied": ("Link copied: it reproduces this run.", "链接已复制：打开它会重现这次运行。"),
    "trace_model": (
        "This trace is of model {name}, which this page does not offer, or its shapes are not that model's.",
        "这份记录属于模型 {name}；本页没有该模型，或其形状与该模型不符。",
    ),
    # -- comparison
    "compare": ("Compare with", "与之比较"),
    "compare_info": ("the same seed, one setting changed", "同一种子，只改一个设置"),
    "compare_nothing": ("nothing", "不比较"),
    "compare_exact": ("exact attention", "精确注意力"),
    "compare_unguided": ("guidance off", "关闭引导"),
    "compare_cold": ("temperature 0.3", "温度 0.3"),
    "compare_same": ("Both settings are the same: there is nothing to compare.", "两种设置相同，无可比较。"),
    "slider_alt": ("The picture drawn with: {name}.", "所画图片，设置：{name}。"),
    "slider": (
        "{other} left of the handle, {name} right of it, from the same seed.",
        "滑块左边：{other}；右边：{name}；同一种子。",
    ),
    "slider_label": ("How much of the left picture is shown, in percent", "显示左图的百分比"),
    "auto_chose": ("Automatic chose {name}: {reason}.", "自动选择了 {name}：{reason}。"),
    "slower_here": (
        "At these {tokens} tokens {name} attention takes {ratio} times as long as exact attention (median of {rounds} warm runs). Low rank pays off at larger maps: see the tab How the cost grows.",
        "在这 {tokens} 个词元上，{name} 注意力所需时间是精确注意力的 {ratio} 倍（{rounds} 次热运行的中位数）。低秩要在更大的图上才划算：见“代价如何增长”。",
    ),
    "faster_here": (
        "At these {tokens} tokens {name} attention is {ratio} times as fast as exact attention (median of {rounds} warm runs).",
        "在这 {tokens} 个词元上，{name} 注意力的速度是精确注意力的 {ratio} 倍（{rounds} 次热运行的中位数）。",
    ),
    "difference_alt": (
        "Absolute difference of the two images: at most {largest}, {mean} on average, where black to white is 1.",
        "两张图的绝对差：最大 {largest}，平均 {mean}；黑到白为 1。",
    ),
    "difference_caption": (
        "Difference: dark blue 0, yellow 1 (black against white). Largest {largest}, mean {mean}.",
        "差异：深蓝为 0，黄为 1（黑对白）。最大 {largest}，平均 {mean}。",
    ),
    "row_attention": ("Attention", "注意力"),
    "row_total": ("Total time", "总时间"),
    "row_rank": ("Rows of a layer's state", "每层状态的行数"),
    "row_state": ("State, all layers", "状态，所有层"),
    "row_reserve": ("Reserve of keys and values", "备用的键和值"),
    "row_equal": ("Tokens equal to the left", "与左图相同的词元"),
    "row_equal_scales": ("of each scale", "各尺度"),
    "row_error": ("Error of attention outputs", "注意力输出的误差"),
    "median_and_largest": ("median {median}, largest {largest}", "中位数 {median}，最大 {largest}"),
    "row_fallbacks": ("Computed exactly instead", "改为精确计算的次数"),
    "row_smallest": ("Smallest denominator", "最小分母"),
    "count_of": ("{done} of {all}", "{done} / {all}"),
    "kilobytes": ("{value} kB", "{value} kB"),
    "milliseconds": ("{value} ms", "{value} 毫秒"),
    # -- errors
    "published_needs": (
        "These are the published weights: the first run reads them from the folder that VAR_WEIGHTS names, or else downloads about 1.7 GB from the Hugging Face Hub. Memory must hold them; without a GPU, expect to wait.",
        "这是官方发布的权重：第一次运行会从 VAR_WEIGHTS 所指的文件夹读取，否则从 Hugging Face Hub 下载约 1.7 GB。内存须放得下；没有 GPU 时要等较久。",
    ),
    "out_of_memory": ("There is not enough memory for this model on this machine.", "这台机器的内存不足以运行该模型。"),
    "run_failed": ("The model could not finish: {error}", "模型未能完成：{error}"),
    "device_cpu": ("CPU: {processor}, threads: {threads}", "CPU：{processor}，线程：{threads}"),
}

NO_VALUE = "–"

I18N = gr.I18n(**{code: {name: pair[i] for name, pair in TEXTS.items()} for code, i in (("en", 0), ("zh", 1), ("zh-CN", 1))})


def shown(name: str):
    """A text for a component: the browser puts it in the visitor's language."""
    if name not in TEXTS:
        raise KeyError(name)
    return I18N(name)


def language(request: gr.Request | None) -> str:
    """The visitor's language, of LANGUAGES: Chinese where the browser puts any Chinese first, otherwise English."""
    header = (request.headers.get("accept-language", "") if request and getattr(request, "headers", None) else "").lower()
    return "zh" if header.strip().startswith("zh") else "en"


def text(name: str, code: str = "en", /, **values) -> str:
    """A text in one language, with its braces filled in."""
    return TEXTS[name][LANGUAGES.index(code)].format(**values)


def part(prefix: str) -> dict[str, dict[str, str]]:
    """All texts of a script, by language, without the prefix of their names."""
    return {
        code: {name.removeprefix(prefix): pair[i] for name, pair in TEXTS.items() if name.startswith(prefix)}
        for i, code in enumerate(LANGUAGES)
    }
