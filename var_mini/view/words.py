"""Every word of the token-map explorer, in English and in Simplified Chinese; the page and the notebooks show the same."""
# ruff: noqa: RUF001, E501 (multiplication signs, dashes and Chinese punctuation are meant; a text is one line)

from __future__ import annotations

LANGUAGES = ("en", "zh")

# name: (English, Simplified Chinese)
EXPLORER: dict[str, tuple[str, str]] = {
    "facts": (
        "{name} · {size} × {size} px · {scales} scales, {tokens} tokens · {codes} codes",
        "{name} · {size} × {size} 像素 · {scales} 个尺度，{tokens} 个词元 · {codes} 个编码",
    ),
    "drawing": ("Scale {done} of {scales} is drawn.", "已画完第 {done} / {scales} 个尺度。"),
    "done": (
        "All {scales} scales are drawn: {scales} forward passes for {tokens} tokens.",
        "{scales} 个尺度都已画完：{tokens} 个词元只用了 {scales} 次前向计算。",
    ),
    "strip": ("Scales from coarse to fine. Scroll sideways to see all.", "从粗到细的各个尺度。左右滚动可查看全部。"),
    "scrubber": ("Scale shown", "显示的尺度"),
    "scale_of": ("scale {scale} of {scales}", "第 {scale} / {scales} 个尺度"),
    "play": ("Play the scales", "播放各尺度"),
    "pause": ("Pause", "暂停"),
    "added": ("Only what each scale added", "只看每个尺度补上的部分"),
    "layer": ("layer", "层"),
    "head": ("head", "头"),
    "tokens": ("{count} tokens", "{count} 个词元"),
    "one_token": ("1 token", "1 个词元"),
    "milliseconds": ("{value} ms", "{value} 毫秒"),
    "phase_attention": ("attention", "注意力"),
    "phase_rest": ("rest of the transformer", "变换器其余部分"),
    "phase_decoder": ("decoder", "解码器"),
    "entropy_of": ("{value} nats", "熵 {value} 奈特"),
    "entropy_note": (
        "Entropy, mean over the tokens, of the probabilities that codes were drawn from: after guidance, temperature, top-k and top-p. 0: no choice; {most} nats: all {codes} codes alike.",
        "熵：对词元取平均，按抽取编码所用的概率计算：已经过引导、温度、top-k 和 top-p。0：没有选择；{most} 奈特：{codes} 个编码机会均等。",
    ),
    "map_empty": ("Token map {side} by {side}, not drawn yet.", "{side} × {side} 的词元图，尚未画出。"),
    "map": (
        "Token map {side} by {side}. Arrow keys move, Enter shows attention. Code numbers row by row: {codes}",
        "{side} × {side} 的词元图。方向键移动，回车显示注意力。逐行的编码：{codes}",
    ),
    "image_empty": ("No picture yet.", "还没有图像。"),
    "image": (
        "{subject}, decoded after scale {scale} of {scales}",
        "{subject}，第 {scale} / {scales} 个尺度之后的解码图像",
    ),
    "image_added": (
        "What scale {scale} of {scales} added to the image of {subject}: difference of the pictures decoded after and before it; grey means nothing",
        "第 {scale} / {scales} 个尺度给“{subject}”补上的部分：它之后与之前解码图像的像素差；灰色表示没有变化",
    ),
    "caption": ("{subject}, after scale {scale} of {scales}", "{subject}，第 {scale} / {scales} 个尺度之后"),
    "caption_added": (
        "Added by scale {scale} of {scales}: pixels decoded after it minus those before; grey: nothing",
        "第 {scale} / {scales} 个尺度补上的部分：它之后与之前解码的像素之差；灰色：无变化",
    ),
    "token_hint": (
        "Point at a token map, or move over it with the arrow keys, to see which code stands there and what else was likely.",
        "把指针移到词元图上，或用方向键移动，就能看到那里是哪个编码，以及还有哪些可能。",
    ),
    "token": ("Row {row}, column {column} of {side} × {side}", "{side} × {side} 的第 {row} 行第 {column} 列"),
    "code": ("code {code} of {codes}", "编码 {code}（共 {codes} 个）"),
    "chosen": (
        "drawn with probability {probability} (after guidance, temperature, top-k and top-p); entropy {entropy} nats",
        "抽中概率 {probability}（已经过引导、温度、top-k 和 top-p）；熵 {entropy} 奈特",
    ),
    "candidates": ("Most likely codes", "最可能的编码"),
    "attention_hint": (
        "Click, or press Enter, to see where it attends on this and all coarser scales.",
        "点击或按回车，查看它在本尺度和所有更粗尺度上关注哪里。",
    ),
    "attends": ("Layer {layer}, head {head} attends to: {shares}", "第 {layer} 层第 {head} 头的注意力分布：{shares}"),
    "cut": (
        "Here the approximation gives {count} weights below 0 or above 1; they are drawn as 0 and 1.",
        "此处的近似给出了 {count} 个小于 0 或大于 1 的权重；图中分别画成 0 和 1。",
    ),
    "blocks": ("Attention from scale to scale", "尺度之间的注意力"),
    "blocks_note": (
        "Each row is a scale that was being drawn; its numbers, in percent, say how much of its attention went to each scale drawn so far.",
        "每一行是一个正在画的尺度；数字（百分比）表示它把多少注意力给了已画出的各个尺度。",
    ),
    "blocks_caption": (
        "Percent, layer {layer}, head {head}, mean over the tokens of a row",
        "百分比，第 {layer} 层第 {head} 头，对该行所有词元取平均",
    ),
    "engine_draw": ("Draw with another seed, in this browser", "换个种子，在此浏览器里画"),
    "engine_busy": ("Drawing …", "正在画 …"),
    "engine_drawn": ("Drawn in this browser, without Python: seed {seed}.", "在此浏览器里画成，没有用 Python：种子 {seed}。"),
    "engine_unable": ("This browser could not draw: {reason}", "此浏览器没能画出：{reason}"),
    "engine_missing": (
        "the model did not come along with this page; run the cell in a notebook once more and save it with its widgets",
        "模型没有随此页面保存；请在笔记本里重新运行该单元格，并连同组件状态一起保存",
    ),
    "redrawn": ("{drawn} of {count} drawn anew", "重画 {drawn} / {count} 个"),
    "chosen_given": (
        "given, not drawn: the model gave this code a probability of {probability}; entropy {entropy} nats",
        "给定的，不是画的：模型给这个编码的概率为 {probability}；熵 {entropy} 奈特",
    ),
}


def explorer_words() -> dict[str, dict[str, str]]:
    """The words by language, as the explorer takes those of one."""
    return {code: {name: pair[i] for name, pair in EXPLORER.items()} for i, code in enumerate(LANGUAGES)}
