"""Every word of the page, in English and in Simplified Chinese, and how a visitor's language is found.

A text is named once and stands in both languages side by side. Components show it through gr.I18n (the browser chooses); HTML
that Python writes asks `language(request)`; scripts get all texts and choose as the browser does. Braces are filled in where
a text is used. Texts of one part share a prefix: `explorer_` goes to the explorer, `tour_` to the tour.
"""
# ruff: noqa: RUF001, E501 (multiplication signs, dashes and Chinese punctuation are meant; a text is one line)

from __future__ import annotations

import json
import re
from pathlib import Path

import gradio as gr

import var_mini
from var_mini.view.words import EXPLORER, LANGUAGES

# the words of the front end, which reads this file itself: name -> {en, zh}
WORDS = json.loads((Path(var_mini.__file__).parent / "ui" / "words.json").read_text(encoding="utf-8"))

# name: (English, Simplified Chinese)
TEXTS: dict[str, tuple[str, str]] = {
    # -- page
    "sentence": tuple(WORDS["sentence"].values()),
    "preview_title": ("watch a transformer draw, coarse to fine", "看变换器由粗到细地作画"),
    "preview_alt": (
        "Token maps of five scales, and below each the picture decoded so far",
        "五个尺度的词元图，每张图下面是到此为止解码出的图像",
    ),
    "tab_first": ("First screen", "首屏"),
    "tab_draw": ("This run in numbers", "这次运行的数字"),
    "tab_tokenize": ("Tokenize a picture", "把图片变成词元"),
    "tab_masks": ("Masks and memory", "掩码与记忆"),
    "tab_lowrank": ("Exact or low-rank", "精确还是低秩"),
    "tab_cost": ("How the cost grows", "代价如何增长"),
    "tab_edit": ("Edit", "编辑"),
    # -- controls of a run
    "model": ("Model", "模型"),
    "model_in_folder": ("{name} (from a folder)", "{name}（来自文件夹）"),
    "model_published": ("{name} (published)", "{name}（官方权重）"),
    "class": ("Class", "类别"),
    "seed": ("Seed", "随机种子"),
    "seed_empty": (
        "The field of the seed is empty: it must be a whole number from 0 to {largest}.",
        "随机种子一栏为空：须为 0 到 {largest} 的整数。",
    ),
    "guidance": ("Guidance", "引导强度"),
    "temperature": ("Temperature", "温度"),
    "stop": ("Stop", "停止"),
    "stopped_nothing": ("Nothing is running that could be stopped.", "没有正在进行的运行可以停止。"),
    "stale": (
        "Of earlier settings: the controls have changed since.",
        "这是先前设置的结果：之后设置已有改动。",
    ),
    "stopped": ("Stopped. The scales drawn so far stay on the page.", "已停止。已画出的尺度仍留在页面上。"),
    # -- attention back end
    "back_end": ("Attention", "注意力"),
    "back_end_info": ("how attention is computed while drawing", "作画时如何计算注意力"),
    "back_end_exact": ("exact", "精确"),
    "back_end_poly": ("polynomial kernel", "多项式核"),
    "back_end_landmark": ("landmark points", "地标点"),
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
    # -- the explorer: its own words stand beside it, since notebooks show it, too
    **{f"explorer_{name}": pair for name, pair in EXPLORER.items()},
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
    "export_opened": (
        "This run came out of a file: that file is its trace.",
        "这次运行是从文件打开的：那个文件就是它的记录。",
    ),
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
    "compare_run": ("Compare", "比较"),
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
    "computed_on": ("Computed on {device}; {attention} by {how}.", "计算设备：{device}；{attention} 由{how}计算。"),
    "computed_by_sdpa": ("torch's scaled_dot_product_attention", "torch 的 scaled_dot_product_attention "),
    "computed_by_triton": ("fused Triton kernels", "融合 Triton 内核"),
    "computed_by_torch": ("plain torch, without fused kernels: {reason}", "普通 torch（未用融合内核：{reason}）"),
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
    "state_guided": (
        "The states count twice here: guidance draws with the class and without it at once. The tab Masks and memory counts one pass.",
        "这里的状态算了两份：引导同时在有类别和无类别的条件下作画。“掩码与记忆”页只算一份。",
    ),
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
    # -- how the cost grows
    "cost_measured": ("Measured", "实测"),
    "cost_measured_intro": (
        "Twice the side means four times the tokens, and exact attention lets every token look at all tokens of the coarser scales and of its own: sixteen times the pairs. On these double-logarithmic axes such growth is a straight line, and its slope is the exponent. Lines: recorded. Rings: measured on this server, now, by you.",
        "边长加倍，词元数变为四倍；精确注意力让每个词元看所有更粗尺度和本尺度的全部词元，配对数就变为十六倍。在双对数坐标上，这种增长是一条直线，斜率就是指数。线：录制的结果。圆环：由你此刻在这台服务器上测得。",
    ),
    "cost_what": ("What is timed", "测什么"),
    "cost_what_attention": ("attention of one layer", "一层的注意力"),
    "cost_what_transformer": ("whole transformer", "整个变换器"),
    "cost_what_raster": ("token by token against scale by scale", "逐词元与逐尺度之比"),
    "cost_head_dim": ("Head dimension", "头维度"),
    "cost_methods": ("Methods to measure here", "在此测量的方法"),
    "cost_sides": ("Sides of the last token map to measure", "要测量的最后一张词元图的边长"),
    "cost_measure": ("Measure here", "在此测量"),
    "cost_exact": ("exact, cached", "精确，有缓存"),
    "cost_exact_uncached": ("exact, no cache", "精确，无缓存"),
    "cost_poly_2": ("polynomial, degree 2", "2 次多项式"),
    "cost_landmark_32": ("32 landmarks", "32 个地标"),
    "cost_landmark_64": ("64 landmarks", "64 个地标"),
    "cost_pool_2": ("pooled 2 × 2", "2 × 2 池化"),
    "cost_pool_4": ("pooled 4 × 4", "4 × 4 池化"),
    "cost_raster": ("token by token, no cache", "逐词元，无缓存"),
    "cost_raster_cached": ("token by token, cached", "逐词元，有缓存"),
    "cost_var": ("scale by scale, no cache", "逐尺度，无缓存"),
    "cost_var_cached": ("scale by scale, cached", "逐尺度，有缓存"),
    "cost_var_poly_2": ("scale by scale, polynomial", "逐尺度，多项式"),
    "cost_var_landmark_32": ("scale by scale, 32 landmarks", "逐尺度，32 个地标"),
    "cost_here": ("{name}, here", "{name}，此处"),
    "cost_x_axis": ("side n of the last token map", "最后一张词元图的边长 n"),
    "cost_y_axis": ("milliseconds for one image", "每张图的毫秒数"),
    "cost_mark": ("{pixels} px: {tokens} tokens", "{pixels} 像素：{tokens} 个词元"),
    "cost_chart": ("{what}: time for one image", "{what}：每张图的时间"),
    "cost_chart_note": (
        "Milliseconds against the side of the last token map, both axes logarithmic. All values are in the table below.",
        "毫秒数随最后一张词元图边长的变化，两轴均为对数。所有数值见下表。",
    ),
    "cost_values": ("All values", "所有数值"),
    "cost_slopes": ("Slopes: time grows like n to the power e", "斜率：时间按 n 的 e 次方增长"),
    "cost_method": ("Method", "方法"),
    "cost_slope_recorded": ("e, recorded", "e，录制"),
    "cost_slope_here": ("e, here", "e，此处"),
    "cost_slope_theory": ("theory", "理论"),
    "cost_interval": ("{low} to {high}", "{low} 至 {high}"),
    "cost_slopes_note": (
        "Fitted over sides {recorded} (recorded), with 95 % intervals. Small maps are mostly overhead, so the upper half is fitted. Theory counts attention alone; the linear layers add a share that grows like n². Where a slope lies below its theory, fixed costs of every step still outweigh what grows: the sides measured are too small to show it. A slope whose interval is wider than {widest} says nothing and is left out.",
        "对边长 {recorded}（录制）拟合，附 95 % 置信区间。小图上主要是固定开销，因此只拟合较大的一半。理论值只计注意力；线性层另加一份按 n² 增长的开销。斜率低于理论值时，每一步的固定开销仍超过增长的部分：所测边长还太小。置信区间宽于 {widest} 的斜率没有意义，不予列出。",
    ),
    "cost_slopes_here": ("Here: over sides {sides}.", "此处：边长 {sides}。"),
    "cost_speedups": ("Speed-up over: {name}", "相对“{name}”的加速比"),
    "cost_side": ("Side (tokens)", "边长（词元数）"),
    "cost_side_tokens": ("{side} ({tokens})", "{side}（{tokens}）"),
    "cost_times": ("{value}×", "{value}×"),
    "cost_times_here": ("here {value}×", "此处 {value}×"),
    "cost_speedups_note": ("Below 1× the method is slower.", "低于 1× 表示更慢。"),
    "cost_recorded_on": (
        "Recorded on {date}: {processor}, device {device}, threads {threads}, torch {torch}, float32, batch 1.",
        "录制于 {date}：{processor}，设备 {device}，线程 {threads}，torch {torch}，float32，批大小 1。",
    ),
    "cost_random": (
        "Weights are random: no model is trained at these sizes, and the time does not depend on the weights.",
        "权重是随机的：没有在这些尺寸上训练过的模型，而时间与权重的值无关。",
    ),
    "cost_measured_on": (
        "Measured here: {processor}, device {device}, threads {threads}, {dtype}, batch 1, up to {tokens} tokens; median of up to {rounds} warm runs.",
        "在此测得：{processor}，设备 {device}，线程 {threads}，{dtype}，批大小 1，最多 {tokens} 个词元；取至多 {rounds} 次热运行的中位数。",
    ),
    "cost_ready": (
        "Nothing measured yet. A measurement takes at most about {seconds} s.",
        "尚未测量。一次测量最多约 {seconds} 秒。",
    ),
    "cost_waiting": ("Waiting for the worker.", "正在等待运算单元。"),
    "cost_progress": (
        "{done} of {total} points. Last: side {side}, {tokens} tokens, {name}: {milliseconds} ms.",
        "{done} / {total} 个点。最近：边长 {side}，{tokens} 个词元，{name}：{milliseconds} 毫秒。",
    ),
    "cost_finished": (
        "Done: {done} of {total} points measured in {seconds} s.",
        "完成：{seconds} 秒内测得 {done} / {total} 个点。",
    ),
    "cost_time_up": (
        "Time is up after {seconds} s: {done} of {total} points measured.",
        "{seconds} 秒时限已到：测得 {done} / {total} 个点。",
    ),
    "cost_stopped": ("Stopped: {done} of {total} points measured. They stay.", "已停止：测得 {done} / {total} 个点，予以保留。"),
    "cost_left_out": ("Left out, not enough time left: {points}.", "剩余时间不够而略过：{points}。"),
    "cost_left_point": ("{name} at side {sides}", "{name}，边长 {sides}"),
    "cost_counted": ("Counted", "计数"),
    "cost_counted_intro": (
        "Choose a final side n. These are closed forms for one head of one layer, nothing is measured: query-key pairs over a whole image. A low-rank state meets no keys; each token writes r features and reads r. Bars are logarithmic and start at 1.",
        "选一个最终边长 n。以下是一层一头的闭式公式，没有任何测量：画一整张图的查询-键对数。低秩状态不与键相遇；每个词元写入 r 个特征，再读出 r 个。条形为对数刻度，从 1 开始。",
    ),
    "cost_final_side": ("Final side n", "最终边长 n"),
    "cost_final_side_info": ("16, 32 and 64 are VAR at 256, 512 and 1024 px", "16、32、64 对应 256、512、1024 像素的 VAR"),
    "cost_steps": ("Steps in sequence", "顺序步数"),
    "cost_pairs": ("Pairs (low rank: features)", "对数（低秩：特征数）"),
    "cost_grows": ("Grows like", "增长如"),
    "cost_doubling": ("Side {side} needs", "边长 {side} 需要"),
    "cost_low_rank": ("{name}, r = {rank}", "{name}，r = {rank}"),
    "cost_counted_facts": (
        "n = {side}: token by token draws {raster} tokens in {raster} steps; scale by scale draws {tokens} tokens (maps of {sides}) in {steps} steps.",
        "n = {side}：逐词元用 {raster} 步画 {raster} 个词元；逐尺度用 {steps} 步画 {tokens} 个词元（各图边长 {sides}）。",
    ),
    "cost_counted_lesson": (
        "With a cache, scale by scale meets {ratio} times as many pairs as token by token. It wins by taking {fewer} times fewer steps in sequence, each of them large enough to keep a processor busy.",
        "有缓存时，逐尺度遇到的对数是逐词元的 {ratio} 倍。它胜在顺序步数少到 1/{fewer}，而且每一步都足够大，能让处理器满载。",
    ),
    "cost_modelled": ("Modelled", "模型推算"),
    "cost_model_only": ("A model, not a measurement", "这是模型，不是测量"),
    "cost_modelled_intro": (
        "A roofline of one attention over all tokens at once on a GPU: every kernel takes the longest of its arithmetic, its exponentials and its memory traffic, plus a launch. The low-rank kernels multiply in TF32, at half the rate of 16-bit products. It says what could be reached, not what was.",
        "GPU 上对全部词元一次做注意力的屋顶线：每个内核耗时取算术、指数运算、内存流量三者中最长的，再加一次启动。低秩内核用 TF32 相乘，速率是 16 位乘积的一半。它说的是可能达到什么，而不是已经达到什么。",
    ),
    "cost_device": ("Device", "设备"),
    "cost_tokens_axis": ("tokens N", "词元数 N"),
    "cost_microseconds": ("microseconds, modelled", "微秒（模型值）"),
    "cost_roofline_chart": (
        "Modelled time on {device}, head dimension {head_dim}, batch × heads {batch_heads}",
        "{device} 上的模型时间，头维度 {head_dim}，批 × 头 {batch_heads}",
    ),
    "cost_roofline_note": (
        "Microseconds against tokens, both axes logarithmic. All values are in the table below.",
        "微秒数随词元数的变化，两轴均为对数。所有数值见下表。",
    ),
    "cost_fused": ("exact, fused", "精确，融合内核"),
    "cost_overtakes": (
        "{name}: modelled faster than exact from {tokens} tokens on; {ratio}× at {largest} tokens.",
        "{name}：从 {tokens} 个词元起模型值快于精确；{largest} 个词元时为 {ratio}×。",
    ),
    "cost_never": ("{name}: not faster than exact up to {largest} tokens.", "{name}：直到 {largest} 个词元都不比精确快。"),
    "cost_constant_tensor": ("bfloat16 products", "bfloat16 乘积"),
    "cost_constant_tf32": ("TF32 products (low-rank kernels)", "TF32 乘积（低秩内核）"),
    "cost_constant_vector": ("other float32 arithmetic", "其他 float32 运算"),
    "cost_constant_special": ("exponentials", "指数运算"),
    "cost_constant_bandwidth": ("memory", "内存带宽"),
    "cost_constant_launch": ("launch of a kernel", "一次内核启动"),
    "cost_constant_reached": ("share of the peaks reached", "达到峰值的比例"),
    "cost_constants": ("Constants of the model", "模型的常数"),
    "cost_teraflops": ("{value} TFLOP/s", "{value} TFLOP/s"),
    "cost_trillions": ("{value} trillion per second", "每秒 {value} 万亿次"),
    "cost_terabytes": ("{value} TB/s", "{value} TB/s"),
    "cost_micro": ("{value} µs", "{value} 微秒"),
    "cost_ladder": ("Trained models at three resolutions", "三种分辨率的已训练模型"),
    "cost_ladder_intro": (
        "One class, one seed, drawn by models trained at different resolutions. Here the weights are real. Exact attention is set against 32 landmarks: watch attention's share and the state grow.",
        "同一类别、同一种子，由在不同分辨率上训练的模型来画。这里的权重是真实的。精确注意力与 32 个地标对照：看注意力的占比和状态如何增长。",
    ),
    "cost_draw_ladder": ("Draw at every resolution", "在每种分辨率上画"),
    "cost_ladder_drawing": ("Drawing: {done} of {total}.", "正在画：{done} / {total}。"),
    "cost_ladder_done": (
        "Times: medians of {rounds} warm runs on this server, every partial image decoded.",
        "时间：在这台服务器上 {rounds} 次热运行的中位数，每张中间图都解码。",
    ),
    "cost_ladder_alt": ("{subject} at {pixels} px, {name}", "{subject}，{pixels} 像素，{name}"),
    "cost_ladder_size": ("{pixels} px, {tokens} tokens", "{pixels} 像素，{tokens} 个词元"),
    "cost_row_share": ("Share of attention", "注意力占比"),
    "cost_row_recorded": ("Recorded time", "录制的时间"),
    # -- masks and memory
    "masks_pyramid": ("Pyramid", "金字塔"),
    "masks_pyramid_info": ("the token maps of a model, from coarse to fine", "一个模型从粗到细的词元图"),
    "masks_published": ("VAR, {size} px (shape only)", "VAR，{size} 像素（仅形状）"),
    "masks_back_end": ("Kept in place of the cache", "代替缓存的状态"),
    "masks_back_end_info": ("what a low-rank back end remembers", "低秩后端记住什么"),
    "masks_back_end_exact": ("nothing else: exact attention", "无：精确注意力"),
    "masks_back_end_poly": ("polynomial of degree 2", "2 次多项式"),
    "masks_back_end_landmark_32": ("32 landmarks", "32 个地标"),
    "masks_back_end_landmark_64": ("64 landmarks", "64 个地标"),
    "masks_back_end_pool": ("keys pooled 2 × 2", "2 × 2 池化的键"),
    "masks_switch": ("Same numbers", "数值相同"),
    "masks_switch_info": ("computes both ways with the model and compares", "用模型按两种方式计算并比较"),
    "masks_lead": (
        "A model of this kind is trained in one pass behind a mask and draws in a loop without one. Move the scale and watch what each of them computes, and what the loop has to keep.",
        "这类模型训练时一次算完，靠掩码遮住后面；作画时逐个尺度循环，不用掩码。移动尺度，看看两者各算什么，以及循环必须记住什么。",
    ),
    "masks_scrubber": ("Scale being drawn", "正在画的尺度"),
    "masks_scale_of": ("scale {scale} of {scales}", "第 {scale} / {scales} 个尺度"),
    "masks_play": ("Play the scales", "播放各尺度"),
    "masks_pause": ("Pause", "暂停"),
    "masks_facts": (
        "{name} · {tokens} tokens in {scales} scales · {layers} layers × {heads} heads of dimension {dim} · one image without guidance, float32",
        "{name} · {scales} 个尺度共 {tokens} 个词元 · {layers} 层 × {heads} 头，每头 {dim} 维 · 一张图、不用引导、float32",
    ),
    "masks_say_first": (
        "Scale 1: one token, made from the class alone, attends to itself. There is nothing else yet.",
        "第 1 个尺度：唯一的词元只由类别产生，只关注自己。此时还没有别的词元。",
    ),
    "masks_say": (
        "Scale {scale}: its {queries} tokens ask at once. They see the {earlier} tokens of all coarser scales and all {queries} of their own: {queries} × {keys} = {pairs} pairs. While drawing, nothing needs to be hidden: nothing finer exists yet.",
        "第 {scale} 个尺度：{queries} 个词元同时发问，看到所有更粗尺度的 {earlier} 个词元和本尺度的全部 {queries} 个：{queries} × {keys} = {pairs} 对。什么都不用遮，因为更细的词元还不存在。",
    ),
    "masks_legend_own": ("own scale", "本尺度"),
    "masks_legend_earlier": ("coarser scales", "更粗的尺度"),
    "masks_legend_hidden": ("finer scales: hidden while training", "更细的尺度：训练时遮住"),
    "masks_title_mask": ("Training: one pass behind a mask", "训练：一次计算，带掩码"),
    "masks_title_steps": ("Drawing: one step per scale, no mask", "作画：每个尺度一步，无掩码"),
    "masks_title_kept": ("Memory: growing cache and fixed state", "记忆：不断增长的缓存与固定的状态"),
    "masks_mask_label": (
        "Block-causal mask of {tokens} queries (rows) and {tokens} keys (columns), {pairs} cells allowed. Rows of scale {scale}: the first {keys} keys are allowed, the rest hidden. Arrow keys move from block to block.",
        "分块因果掩码：{tokens} 个查询（行）、{tokens} 个键（列），允许 {pairs} 格。第 {scale} 个尺度的各行：前 {keys} 个键允许，其余遮住。方向键在块之间移动。",
    ),
    "masks_caption_mask": (
        "Rows ask, columns answer: {tokens} × {tokens} = {cells} cells, {pairs} of them allowed ({share}).",
        "行是查询，列是键：{tokens} × {tokens} = {cells} 格，其中 {pairs} 格允许（{share}）。",
    ),
    "masks_pair_hint": (
        "Point at a block of the mask, or move over it with the arrow keys; a click or Enter shows its scale.",
        "把指针移到掩码的某一块上，或用方向键移动；点击或回车显示它的尺度。",
    ),
    "masks_pair_own": (
        "Scale {query} asks itself: {queries} × {keys} = {cells} cells, all allowed. Tokens of one scale see each other.",
        "第 {query} 个尺度关注自己：{queries} × {keys} = {cells} 格，全部允许。同一尺度的词元彼此可见。",
    ),
    "masks_pair_earlier": (
        "Scale {query} asks the coarser scale {key}: {queries} × {keys} = {cells} cells, all allowed.",
        "第 {query} 个尺度关注更粗的第 {key} 个尺度：{queries} × {keys} = {cells} 格，全部允许。",
    ),
    "masks_pair_hidden": (
        "Scale {query} must not see the finer scale {key}: {queries} × {keys} = {cells} cells hidden. While drawing they do not exist.",
        "第 {query} 个尺度不能看到更细的第 {key} 个尺度：遮住 {queries} × {keys} = {cells} 格。作画时它们根本不存在。",
    ),
    "masks_caption_steps": (
        "Step {scale}: {queries} queries × {keys} keys = {pairs} pairs, the same cells as the bright rows of the mask. So far {done} of {all} pairs.",
        "第 {scale} 步：{queries} 个查询 × {keys} 个键 = {pairs} 对，正是掩码中亮起的那些行。至此共 {done} / {all} 对。",
    ),
    "masks_cache": (
        "Cache: {keys} tokens × 2 × {dim} = {numbers} numbers per head, {size} in all layers and heads ({all} at the end). Every scale adds a ring.",
        "缓存：{keys} 个词元 × 2 × {dim} = 每头 {numbers} 个数，所有层和头共 {size}（最后为 {all}）。每个尺度加上一圈。",
    ),
    "masks_state_constant": (
        "{name}: {rows} features × ({dim} + 1) = {numbers} numbers per head, {size} in all. It has this size from the first scale to the last.",
        "{name}：{rows} 个特征 × ({dim} + 1) = 每头 {numbers} 个数，共 {size}。从第一个尺度到最后一个都这么大。",
    ),
    "masks_state_pool": (
        "{name}: {rows} keys × 2 × {dim} = {numbers} numbers per head, {size} in all. It grows as well, only more slowly.",
        "{name}：{rows} 个键 × 2 × {dim} = 每头 {numbers} 个数，共 {size}。它也在增长，只是更慢。",
    ),
    "masks_state_exact": (
        "Exact attention keeps the cache itself. Choose a low-rank back end to see what can take its place.",
        "精确注意力保留缓存本身。选一种低秩后端，看看什么可以代替它。",
    ),
    "masks_verdict_from": (
        "Areas are in true proportion. From scale {scale} on it is smaller than the cache; at the end the cache is {times} times as large.",
        "面积为真实比例。从第 {scale} 个尺度起它比缓存小；最后缓存是它的 {times} 倍。",
    ),
    "masks_verdict_never": (
        "Areas are in true proportion. With this pyramid it never gets smaller than the cache: at the end it is {times} times as large, so low rank saves no memory here.",
        "面积为真实比例。在这个金字塔上它始终不比缓存小：最后是缓存的 {times} 倍，低秩在此并不省内存。",
    ),
    "masks_reserve": (
        "This implementation keeps the cache beside it, in reserve for a denominator that is not positive; that reserve is not drawn.",
        "本实现还另外保留缓存备用，以防分母不为正；这份备用没有画出。",
    ),
    "masks_title_same": ("The two ways compute the same", "两种方式算出相同的结果"),
    "masks_same_note": (
        "Computed just now with {model} ({name} attention) on a picture it drew, {subject}, seed {seed}: every logit from one masked pass, and again from the loop over the scales.",
        "刚用 {model}（{name} 注意力）在它自己画的图上算出：{subject}，种子 {seed}。全部 logit 先由一次带掩码的计算得到，再由逐尺度循环得到。",
    ),
    "masks_same_instead": (
        "{name} has no masked pass, since its training goes through the same loop; exact attention is compared instead. ",
        "{name} 没有带掩码的计算，它的训练也走同一个循环；这里改为比较精确注意力。",
    ),
    "masks_same_scale": (
        "Scale {scale}: largest difference {loop} among {count} logits of size up to {largest}.",
        "第 {scale} 个尺度：{count} 个 logit（最大 {largest}）中最大差异 {loop}。",
    ),
    "masks_same_rounding": ("That is rounding.", "这只是舍入误差。"),
    "masks_same_foils": (
        "The last two comparisons are wrong on purpose: without a mask coarse scales would see the answer, and a language model's mask would let a token see only the tokens before it, even within its own scale.",
        "后两种比较故意用错：没有掩码时，粗尺度会看到答案；用语言模型的掩码时，词元即使在本尺度内也只能看到它前面的词元。",
    ),
    "masks_same_no_weights": (
        "Only the shape of this pyramid is here, without weights. Choose one of the trained models to compute both ways.",
        "这里只有这个金字塔的形状，没有权重。请选一个训练好的模型来按两种方式计算。",
    ),
    "masks_same_large": (
        "{model} is too large to compute both ways on this machine while others wait. Choose a smaller model.",
        "{model} 太大，在这台机器上两种方式都算一遍会让别人等太久。请选较小的模型。",
    ),
    "masks_table": ("All numbers as a table", "全部数字列表"),
    "masks_col_scale": ("Scale", "尺度"),
    "masks_col_queries": ("Queries", "查询"),
    "masks_col_keys": ("Keys", "键"),
    "masks_col_pairs": ("Pairs", "对数"),
    "masks_col_cache": ("Cache", "缓存"),
    "masks_col_state": ("State", "状态"),
    "masks_col_loop": ("Loop against mask", "循环对掩码"),
    "masks_col_unmasked": ("No mask at all", "完全不用掩码"),
    "masks_col_triangular": ("A language model's mask", "语言模型的掩码"),
    "masks_col_largest": ("Largest logit", "最大 logit"),
    "masks_ask_see": ("Predict: do the tokens of one scale see each other?", "先猜：同一尺度的词元彼此可见吗？"),
    "masks_answer_see": (
        "Yes. The orange blocks on the diagonal are full squares: all tokens of a scale are drawn in one parallel step and attend to each other. What they see of each other is the input of the scale, the image so far scaled to its side, not the codes that are being drawn at the same moment.",
        "可见。对角线上的橙色块是完整的方块：同一尺度的词元在一步里并行画出，并彼此关注。但它们看到的是该尺度的输入，也就是缩放到该边长的当前图像，而不是同时正在画的编码。",
    ),
    "masks_ask_mask": ("Predict: why does drawing need no mask?", "先猜：作画时为什么不需要掩码？"),
    "masks_answer_mask": (
        "A mask hides what is there too early. While training, all scales of the finished picture stand side by side, so the finer ones must be hidden from the coarser. While drawing, finer scales do not exist yet: the keys of a step are exactly those that the mask would have let through. The switch above measures that both give the same logits.",
        "掩码遮住过早出现的东西。训练时，成品图的所有尺度并排放着，所以必须对粗尺度遮住细尺度。作画时更细的尺度还不存在：每一步的键正好就是掩码会放行的那些。上面的开关会实测两者的 logit 相同。",
    ),
    "masks_ask_state": (
        "Predict: how large is the low-rank state after the last scale?",
        "先猜：最后一个尺度之后，低秩状态有多大？",
    ),
    "masks_answer_state": (
        "As large as after the first. It is a sum over the keys: each new key is added into the same numbers. So it does not grow, and it cannot hold everything: two different sets of keys can leave the same sum. How much that costs in accuracy is shown under Exact or low-rank.",
        "和第一个尺度之后一样大。它是对所有键求和：每个新键都加进同一组数里。因此它不会增长，也装不下一切：不同的键可能得到同样的和。精度损失多少，见“精确还是低秩”。",
    ),
    # -- exact or low-rank
    "lowrank_lead": (
        "The same model, class and seed drawn twice: once with exact attention, once with an approximation whose memory does not grow. Slide between the two pictures, then see in which layers and heads the approximation errs, and what would break it.",
        "同一模型、类别和种子画两次：一次用精确注意力，一次用内存不增长的近似。滑动对比两张图，再看近似在哪些层和头出错，以及什么会让它失效。",
    ),
    "lowrank_run": ("Draw both", "两种都画"),
    "lowrank_same": (
        "Exact against exact: nothing to compare. Choose another attention.",
        "精确对精确，无可比较。请选另一种注意力。",
    ),
    "lowrank_auto_same": (
        "Automatic chose exact attention for this model, so both pictures would be the same. Choose a back end by name.",
        "自动为该模型选了精确注意力，两张图会相同。请指定一种后端。",
    ),
    "lowrank_heat_title": ("Error of every layer and head, {name}", "各层各头的误差，{name}"),
    "lowrank_heat_measured": (
        "Measured just now on this run's own queries, keys and values: the size of the difference of attention outputs, relative to the exact output. Colours run from the least (dark blue) to the largest (yellow), by logarithm.",
        "刚用这次运行自己的查询、键和值测得：注意力输出之差的大小，相对于精确输出。颜色从最小（深蓝）到最大（黄），按对数。",
    ),
    "lowrank_heat_recorded": (
        "Recorded earlier on pictures of the data set; press the button to measure your own run. The size of the difference of attention outputs, relative to the exact output. Colours run from the least (dark blue) to the largest (yellow), by logarithm.",
        "此前在数据集图片上录得；点按钮即可测量你自己的运行。注意力输出之差的大小，相对于精确输出。颜色从最小（深蓝）到最大（黄），按对数。",
    ),
    "lowrank_heat_none": (
        "Press the button to measure the error of every layer and head.",
        "点按钮测量各层各头的误差。",
    ),
    "lowrank_heat_last": ("Last scale", "最后一个尺度"),
    "lowrank_heat_all": ("Mean over all scales", "所有尺度的平均"),
    "lowrank_heat_layer": ("layer {number}", "第 {number} 层"),
    "lowrank_heat_head": ("head {number}", "第 {number} 头"),
    "lowrank_breaks": ("## Where the approximation breaks", "## 近似在哪里失效"),
    "lowrank_breaks_lead": (
        "Every logit is s times a cosine, so it lies between −s and s. Move s, the degree or the number of landmarks: the curves are computed anew. An error of 1 is as bad as answering nothing.",
        "每个 logit 是 s 乘以余弦，所以介于 −s 和 s 之间。移动 s、次数或地标数，曲线会重新计算。误差为 1 等于没有回答。",
    ),
    "lowrank_source": ("Measured on", "测量对象"),
    "lowrank_source_unit": ("random unit vectors", "随机单位向量"),
    "lowrank_source_model": ("this model's own vectors", "该模型自己的向量"),
    "lowrank_layer": ("Layer", "层"),
    "lowrank_bound": ("Bound s of the logits", "logit 的界 s"),
    "lowrank_degree": ("Degree of the polynomial", "多项式的次数"),
    "lowrank_count": ("Landmarks", "地标数"),
    "lowrank_on_unit": (
        "Computed just now, in float64, on random unit vectors with this model's head dimension {dim}: {queries} queries, {keys} keys, {heads} heads, median over heads. Fits and landmarks come from {others} other draws.",
        "刚用 float64 在随机单位向量上算出，头维度与该模型相同（{dim}）：{queries} 个查询、{keys} 个键、{heads} 个头，取各头的中位数。拟合与地标来自另外 {others} 次抽样。",
    ),
    "lowrank_on_model": (
        "Computed just now, in float64, on {model}, layer {layer}: the {queries} queries of the last scale against {keys} keys of one picture ({subject}, seed {seed}), heads 1 to {heads}, median over heads. Fits and landmarks come from {others} other drawn pictures.",
        "刚用 float64 在 {model} 第 {layer} 层上算出：一张图（{subject}，种子 {seed}）最后尺度的 {queries} 个查询对 {keys} 个键，第 1 到 {heads} 头，取中位数。拟合与地标来自另外 {others} 张画出的图。",
    ),
    "lowrank_large": (
        "{model} is too large to measure these curves while others wait. Choose random unit vectors: they use its head dimension.",
        "{model} 太大，测量这些曲线会让别人等太久。请选随机单位向量：它们使用该模型的头维度。",
    ),
    "lowrank_error": ("error of the output", "输出的误差"),
    "lowrank_values": ("Values as a table", "数值列表"),
    "lowrank_taylor": ("Taylor, degree {degree}", "泰勒，{degree} 次"),
    "lowrank_fitted": ("calibrated, degree {degree}", "校准，{degree} 次"),
    "lowrank_landmarks": ("{count} landmarks", "{count} 个地标"),
    "lowrank_uniform": ("equal weights for all", "所有权重相等"),
    "lowrank_mark_model": ("this model: {value}", "该模型：{value}"),
    "lowrank_mark_now": ("s = {value}", "s = {value}"),
    "lowrank_mark_degree": ("degree {value}", "{value} 次"),
    "lowrank_mark_count": ("{value} landmarks", "{value} 个地标"),
    "lowrank_bound_title": ("As the bound moves", "界变化时"),
    "lowrank_bound_axis": ("bound s of the logits", "logit 的界 s"),
    "lowrank_passes": ("Ten percent error is reached at: {places}.", "误差达到百分之十处：{places}。"),
    "lowrank_passes_at": ("{name}, s = {value}", "{name}，s = {value}"),
    "lowrank_passes_never": ("{name}, not up to s = {value}", "{name}，到 s = {value} 仍未达到"),
    "lowrank_degree_title": ("As the degree moves, at s = {bound}", "次数变化时，s = {bound}"),
    "lowrank_degree_axis": ("degree", "次数"),
    "lowrank_even": ("Taylor, even", "泰勒，偶数次"),
    "lowrank_odd": ("Taylor, odd (no back end)", "泰勒，奇数次（不用作后端）"),
    "lowrank_fitted_even": ("calibrated, even", "校准，偶数次"),
    "lowrank_degree_note": (
        "A higher degree always helps in the end, but its features multiply: at head dimension {dim}, degree 2 has {two}, degree 4 has {four}.",
        "次数更高终究更准，但特征成倍增加：头维度为 {dim} 时，2 次有 {two} 个，4 次有 {four} 个。",
    ),
    "lowrank_count_title": ("As the number of landmarks moves, at s = {bound}", "地标数变化时，s = {bound}"),
    "lowrank_count_axis": ("landmarks per head", "每头的地标数"),
    "lowrank_nystrom": ("landmarks", "地标"),
    "lowrank_count_note": (
        "Dashed: what the polynomials reach at the same s. A model's own vectors gather in few directions, which suits landmarks; random ones fill the sphere.",
        "虚线：同一 s 下多项式的误差。模型自己的向量聚集在少数方向，适合地标；随机向量则布满整个球面。",
    ),
    "lowrank_foil_title": ("Why no odd degree: do the weights still add up?", "为何不用奇数次：权重之和还为正吗？"),
    "lowrank_foil_axis": ("least sum of weights / sum of their sizes", "权重之和 / 绝对值之和，最小值"),
    "lowrank_foil_fit": ("degree 2, plain least squares", "2 次，普通最小二乘"),
    "lowrank_foil_note": (
        "A query's weights are divided by their sum. At 1 none is negative; where the curve reaches 0 the sum crosses zero and the answer can be anything. At s = {bound}: negative weights {shares}. So even degrees are kept positive here, and odd ones are no choice.",
        "每个查询的权重要除以它们的和。为 1 表示没有负权重；曲线降到 0 时，和越过零点，结果可以是任何值。s = {bound} 时负权重的比例：{shares}。因此这里的偶数次多项式保持为正，奇数次不作为选项。",
    ),
    # -- a picture taken apart
    "tokenize_explain": (
        "An encoder turns the picture into features f. Every scale writes down **what the coarser scales left over**, f minus the sum so far (f_hat), with the nearest code at each place of its map; its codes, blown up to full size, are then added to f_hat. The next scale, and the transformer when it draws, starts from this accumulated f_hat and not from the previous token map, because only f_hat says what is still missing. **One codebook** serves all scales: a code stands for a vector to add, not for a kind of detail.",
        "编码器把图片变成特征 f。每个尺度记下**更粗的尺度还没说出的部分**，即 f 减去到目前为止的累加和（f_hat）：在词元图的每个位置写上最接近的编码；这些编码放大到全尺寸后再加进 f_hat。下一个尺度（以及作画时的变换器）从累加的 f_hat 出发，而不是从上一张词元图出发，因为只有 f_hat 才说明还缺什么。**所有尺度共用一个码本**：一个编码代表一个要加上去的向量，而不是某一种细节。",
    ),
    "tokenize_fit": ("Fit an upload", "上传图片的裁切"),
    "tokenize_fit_crop": ("crop to the middle", "裁出中间"),
    "tokenize_fit_whole": ("whole, with a border", "完整，加边"),
    "tokenize_invert": ("Invert an upload (the model knows white on black)", "上传图片反色（模型只见过黑底白物）"),
    "tokenize_invert_auto": ("where its edge is bright", "边缘较亮时反色"),
    "tokenize_invert_yes": ("always", "总是反色"),
    "tokenize_invert_no": ("never", "从不反色"),
    "tokenize_open": ("Open a picture", "打开图片"),
    "tokenize_choose": (
        "Choose a sample, open a picture or draw one: it is then taken apart here.",
        "选一张样例、打开一张图片或自己画一张，就会在这里被分解。",
    ),
    "tokenize_done": (
        "Taken apart into {tokens} codes on {scales} maps, and put together again at {psnr} dB.",
        "已分解为 {scales} 张图上的 {tokens} 个编码，再拼回来：{psnr} 分贝。",
    ),
    "tokenize_drawing": ("Your drawing", "你的画"),
    "tokenize_upload": ("Your picture", "你的图片"),
    "tokenize_crop": (
        "Of {width} × {height} pixels, the middle, at {size} × {size}.",
        "取 {width} × {height} 像素的中间部分，缩放到 {size} × {size}。",
    ),
    "tokenize_whole": (
        "All {width} × {height} pixels, at {size} × {size}.",
        "取全部 {width} × {height} 像素，缩放到 {size} × {size}。",
    ),
    "tokenize_frames": ("The first of {frames} frames.", "只取 {frames} 帧中的第一帧。"),
    "tokenize_inverted": ("Inverted.", "已反色。"),
    "tokenize_samples": ("Samples the model was not trained on", "模型训练时没见过的样例"),
    "tokenize_draw": ("Or draw one", "或者自己画"),
    "tokenize_draw_hint": (
        "It is taken apart as soon as you lift the pen. By keyboard: arrow keys move the pen, space lowers and lifts it.",
        "一抬笔就会被分解。键盘：方向键移动画笔，空格落笔或抬笔。",
    ),
    "tokenize_canvas": (
        "Drawing area. Arrow keys move the pen, space lowers and lifts it.",
        "绘图区。方向键移动画笔，空格落笔或抬笔。",
    ),
    "tokenize_palette": ("Colour of the pen", "画笔颜色"),
    "tokenize_width": ("Width", "粗细"),
    "tokenize_clear": ("Clear", "清空"),
    "tokenize_cleared": ("Cleared.", "已清空。"),
    "tokenize_pen_down": ("Pen down.", "已落笔。"),
    "tokenize_pen_up": ("Pen up.", "已抬笔。"),
    "tokenize_colour_white": ("white", "白色"),
    "tokenize_colour_light": ("light grey", "浅灰"),
    "tokenize_colour_dark": ("dark grey", "深灰"),
    "tokenize_colour_black": ("black", "黑色"),
    "tokenize_colour_red": ("red", "红色"),
    "tokenize_colour_orange": ("orange", "橙色"),
    "tokenize_colour_yellow": ("yellow", "黄色"),
    "tokenize_colour_green": ("green", "绿色"),
    "tokenize_colour_blue": ("blue", "蓝色"),
    "tokenize_colour_purple": ("purple", "紫色"),
    "tokenize_colour_brown": ("brown", "棕色"),
    "tokenize_colour_pink": ("pink", "粉色"),
    "tokenize_map": (
        "Token map {side} by {side}. Arrow keys move, Enter chooses a token to replace. Code numbers row by row: {codes}",
        "{side} × {side} 的词元图。方向键移动，回车选中要替换的词元。逐行的编码：{codes}",
    ),
    "tokenize_token_hint": (
        "Point at a token map to see which code stands there. Click, or press Enter, to put another code in its place.",
        "把指针移到词元图上，可看到那里的编码。点击或按回车，可换成别的编码。",
    ),
    "tokenize_swap": ("Replace a code", "替换一个编码"),
    "tokenize_swap_hint": (
        "Click a token in any of the maps above: a coarse one changes the whole picture, a fine one a spot.",
        "点击上面任何一张图中的词元：粗的会改变整张图片，细的只改变一小处。",
    ),
    "tokenize_swap_at": (
        "Row {row}, column {column} of {side} × {side}: code {code}; the encoder chose {own}.",
        "{side} × {side} 的第 {row} 行第 {column} 列：编码 {code}；编码器选的是 {own}。",
    ),
    "tokenize_near": ("Near the encoder's choice in the codebook", "码本中离编码器所选最近的"),
    "tokenize_far": ("Farthest from it", "离它最远的"),
    "tokenize_own": ("encoder's", "编码器所选"),
    "tokenize_distance": ("distance {distance}", "距离 {distance}"),
    "tokenize_waiting": ("Looking through the codebook …", "正在查找码本……"),
    "tokenize_number": ("Code, 0 to {last}", "编码，0 到 {last}"),
    "tokenize_use": ("Use this code", "用这个编码"),
    "tokenize_undo": ("Undo", "撤销"),
    "tokenize_reset": ("Reset", "全部还原"),
    "tokenize_replaced": (
        "Codes replaced: {count}. The picture is now at {psnr} dB.",
        "已替换编码：{count} 个。图片现在为 {psnr} 分贝。",
    ),
    "tokenize_errors": ("What is still missing after each scale", "每个尺度之后还缺多少"),
    "tokenize_scale": ("Scale", "尺度"),
    "tokenize_residual": ("Residual left", "剩余的残差"),
    "tokenize_psnr": ("PSNR", "峰值信噪比"),
    "tokenize_mae": ("Mean error", "平均误差"),
    "tokenize_errors_note": (
        "Residual left: |f − f_hat| as a share of |f|. PSNR (higher is better) and mean absolute error (of the range from black to white) compare the picture decoded so far with the original. Much of the residual can be left over in a good picture: it is counted among features, where the decoder forgives much, not among pixels.",
        "剩余的残差：|f − f_hat| 占 |f| 的比例。峰值信噪比（越高越好）和平均绝对误差（以黑到白的范围计）比较目前解码的图片与原图。图片很好时残差仍可能剩下不少：它按特征而不是按像素计算，而解码器对特征的误差很宽容。",
    ),
    "tokenize_decibel": ("{value} dB", "{value} 分贝"),
    "tokenize_original": ("Original", "原图"),
    "tokenize_rebuilt": ("Put together from all scales, {psnr} dB", "由所有尺度拼成，{psnr} 分贝"),
    "tokenize_missing": ("Difference; grey: none", "差别；灰色：无"),
    "tokenize_changed": ("What your codes changed; grey: nothing", "你的编码改变了什么；灰色：无"),
    # -- a part of a picture drawn anew
    "edit_explain": (
        "Brush a mask, choose a class, redraw: inside the mask the model draws, **outside every scale is given the picture's own tokens** (teacher forcing). In-painting, out-painting and class edits are this one operation; the model was never trained for it. A token of a coarse scale is drawn anew **only if at least half of it is masked**, so what the picture was can leak into the mask through coarse tokens that stay.",
        "涂一块掩码，选一个类别，重画：掩码之内由模型来画，**掩码之外每个尺度都给定图片自己的词元**（教师强制）。局部修补、向外扩展和换类别都是这同一个操作；模型从未为此训练过。粗尺度的词元**只有至少一半被遮住时才会重画**，所以原图的内容可能经由保留下来的粗词元渗进掩码之内。",
    ),
    "edit_first_class": ("Class of a start picture", "起始图片的类别"),
    "edit_first_seed": ("Its seed", "它的种子"),
    "edit_class": ("Class to draw inside the mask", "掩码之内要画的类别"),
    "edit_seed": ("Seed", "随机种子"),
    "edit_start": ("Start picture", "起始图片"),
    "edit_start_of": ("Start picture: {subject}", "起始图片：{subject}"),
    "edit_draw": ("Draw one", "画一张"),
    "edit_from_run": ("From “Watch it draw”", "取自“看它作画”"),
    "edit_from_picture": ("From “Tokenize a picture”", "取自“把图片变成词元”"),
    "edit_from_result": ("Go on with the result", "在结果上继续"),
    "edit_none": ("There is no finished picture there yet.", "那里还没有完成的图片。"),
    "edit_samples": ("Samples the model was not trained on", "模型训练时没见过的样例"),
    "edit_mask": ("Mask: what is to be drawn anew", "掩码：要重画的部分"),
    "edit_board": (
        "Mask on the grid of the last token map. Arrow keys move, space marks a token or unmarks it.",
        "最后一张词元图网格上的掩码。方向键移动，空格标记或取消标记。",
    ),
    "edit_masked": ("Marked: {count} of {all}.", "已标记 {count} / {all} 个。"),
    "edit_cell_on": ("Row {row}, column {column} marked.", "已标记第 {row} 行第 {column} 列。"),
    "edit_cell_off": ("Row {row}, column {column} unmarked.", "已取消标记第 {row} 行第 {column} 列。"),
    "edit_brush": ("Brush", "画笔"),
    "edit_hint": (
        "Brush over the picture by mouse or finger; starting on a marked token unmarks. By keyboard: arrow keys and space.",
        "用鼠标或手指在图片上涂抹；从已标记处开始则取消标记。键盘：方向键和空格。",
    ),
    "edit_left": ("Left side", "左侧"),
    "edit_middle": ("Middle (in-painting)", "中间（局部修补）"),
    "edit_border": ("Border (out-painting)", "边缘（向外扩展）"),
    "edit_all": ("Everything (class edit)", "全部（换类别）"),
    "edit_clear": ("Clear", "清空"),
    "edit_invert": ("Invert", "反选"),
    "edit_redraw": ("Redraw", "重画"),
    "edit_no_picture": ("Choose a start picture first.", "请先选一张起始图片。"),
    "edit_no_mask": ("Mark at least one token that is to be drawn anew.", "请至少标记一个要重画的词元。"),
    "edit_plan": ("What will be drawn anew on each scale", "每个尺度上将重画什么"),
    "edit_plan_of": ("{drawn} of {count}", "{drawn} / {count}"),
    "edit_plan_note": (
        "Marked: drawn anew. All others are given: on a scale where nothing is marked, the start picture's own content stays.",
        "有标记的重画，其余的都是给定的：没有标记的尺度会原样保留起始图片的内容。",
    ),
    "edit_done": (
        "Edited: {drawn} tokens drawn anew, {given} given (pale).",
        "编辑完成：重画 {drawn} 个词元，给定 {given} 个（颜色变淡）。",
    ),
    "edit_before": ("Start picture, as its tokens decode", "起始图片（由其词元解码）"),
    "edit_masked_picture": ("Its mask", "它的掩码"),
    "edit_after": ("Drawn anew: {subject}", "重画：{subject}"),
    "edit_change": (
        "Mean change of the pixels, of the range from black to white: {inside} % inside the mask, {outside} % outside. Outside, no token of the last scale changed; what moves there comes from coarse tokens that reach across and from the decoder, which sees neighbours.",
        "像素的平均变化（以黑到白的范围计）：掩码之内 {inside} %，之外 {outside} %。掩码之外最后一个尺度的词元都没有变；那里的变化来自跨越边界的粗词元，以及会看到邻近位置的解码器。",
    ),
    # -- the guided tour
    "tour_name": ("Guided tour", "导览"),
    "tour_about": (
        "{steps} questions: guess first, then try it. You can skip, leave at any time and go on later.",
        "{steps} 个问题：先猜，再动手试。可以跳过，也可随时离开，以后再继续。",
    ),
    "tour_progress": ("{step} of {steps}", "第 {step} 题，共 {steps} 题"),
    "tour_start": ("Start the tour", "开始导览"),
    "tour_resume": ("Go on with the tour", "继续导览"),
    "tour_leave": ("Leave", "离开"),
    "tour_look": ("First look at the tab “{tab}”:", "先看“{tab}”页："),
    "tour_try": ("Now try it:", "动手试试："),
    "tour_show": ("Show me", "带我去看"),
    "tour_check": ("Check my answer", "核对答案"),
    "tour_choose": ("Choose an answer first; a guess will do.", "请先选一个答案，猜的也行。"),
    "tour_right": ("That is right.", "答对了。"),
    "tour_wrong": ("Not quite.", "不完全对。"),
    "tour_mark_right": ("the right answer", "正确答案"),
    "tour_mark_yours": ("your answer", "你的答案"),
    "tour_back": ("Back", "上一题"),
    "tour_next": ("Next", "下一题"),
    "tour_finish": ("Finish", "完成"),
    "tour_return": ("Back to the tour", "回到导览"),
    "tour_end": ("The end of the tour", "导览结束"),
    "tour_score": (
        "{right} of {steps} questions were answered rightly, {answered} in all.",
        "答了 {answered} 题，对了 {right} 题；导览共有 {steps} 题。",
    ),
    "tour_end_note": (
        "Go back to a question to read its reason again, or start afresh.",
        "可以返回任何一题重读解释，也可以从头再来。",
    ),
    "tour_again": ("Start again", "从头再来"),
    "tour_input_title": ("What goes into the next scale?", "下一尺度的输入是什么？"),
    "tour_input_look": (
        "the strip of scales, with the token maps above and the picture decoded so far below each of them.",
        "这一排尺度：上面是词元图，每张图下面是到此为止解码出的图像。",
    ),
    "tour_input_question": (
        "A token map has just been drawn. What does the transformer take as input to draw the next, finer map?",
        "刚画完一张词元图。变换器画下一张更细的图时，以什么作输入？",
    ),
    "tour_input_a": ("That token map, enlarged to the next side", "这张词元图，放大到下一个边长"),
    "tour_input_b": ("The sum of everything drawn so far, shrunk to the next side", "到此为止画出的全部之和，缩小到下一个边长"),
    "tour_input_c": ("Empty places to be filled in, as in masked prediction", "等待填入的空位，如同掩码预测"),
    "tour_input_why": (
        "The codes of all maps so far are enlarged and added up; the sum is called f_hat. Averaged down to the side of the next map, it gives one input vector for each token to come. The last map alone would be only the last correction to that sum.",
        "到此为止所有词元图的编码都被放大并相加，这个和叫作 f_hat。把它平均缩小到下一张图的边长，每个待画的词元就得到一个输入向量。单独的上一张图只是对这个和的最后一次修正。",
    ),
    "tour_input_try": (
        "press {generate}, then click the pictures below the maps one by one: each is that sum, decoded.",
        "点击“{generate}”，再逐个点击词元图下面的图像：它们就是这个和的解码结果。",
    ),
    "tour_together_title": ("Inside one scale", "同一尺度之内"),
    "tour_together_look": (
        "the table “{blocks}”, the last part of this chapter: one row for each scale being drawn.",
        "本章最后的表“{blocks}”：每一行是一个正在画的尺度。",
    ),
    "tour_together_question": (
        "All tokens of a map are drawn in one step. Do they see each other while that happens?",
        "一张图的所有词元在一步内画出。这时它们彼此可见吗？",
    ),
    "tour_together_a": (
        "Yes: each attends to all the others of its scale, though not to the codes that are being drawn",
        "可见：每个词元都关注同尺度的其他词元，但看不到正在抽取的编码",
    ),
    "tour_together_b": ("No: each sees coarser scales only", "不可见：每个词元只看得到更粗的尺度"),
    "tour_together_c": ("Only those above it and to its left", "只看得到上方和左边的词元"),
    "tour_together_why": (
        "A scale attends to the coarser scales and to itself. What its tokens exchange is their inputs, the picture so far; the codes are then drawn all at once, each from its own distribution. The order that makes the model autoregressive is between scales, not inside one.",
        "一个尺度关注更粗的尺度，也关注自己。词元之间交换的是各自的输入，即到此为止的图像；随后所有编码同时抽取，各按自己的分布。使模型成为自回归的先后次序在尺度之间，不在尺度之内。",
    ),
    "tour_together_try": (
        "compute the table and read its diagonal: it is the share of attention that stays inside a scale.",
        "计算这张表并看对角线：那就是留在本尺度之内的注意力所占的比例。",
    ),
    "tour_mask_title": ("Why is there no mask while drawing?", "作画时为什么没有掩码？"),
    "tour_mask_look": ("the mask of training beside the memory of inference.", "训练用的掩码，以及旁边推理时的记忆。"),
    "tour_mask_question": (
        "Training hides finer scales from coarser ones with a mask. Drawing uses none. Why is that right?",
        "训练时用掩码让较粗的尺度看不到较细的尺度，作画时却不用。为什么可以？",
    ),
    "tour_mask_a": ("The weights have learned to ignore finer scales", "权重已学会忽略较细的尺度"),
    "tour_mask_b": ("It is an approximation that costs a little quality", "这是一种近似，会损失一点质量"),
    "tour_mask_c": ("The finer scales do not exist yet, so there is nothing to hide", "较细的尺度还不存在，没有什么可遮的"),
    "tour_mask_why": (
        "In training all scales pass through the transformer at once, so a mask must hide what comes later. While drawing, only the scales so far have keys and values: the memory holds just what the mask would let through. Both compute the same numbers.",
        "训练时所有尺度一起通过变换器，必须用掩码遮住后面的内容。作画时只有到此为止的尺度有键和值：记忆里恰好就是掩码会放行的部分。两种方式算出的数字相同。",
    ),
    "tour_mask_try": (
        "step through the scales and compare a row of blocks in the mask with what the memory holds at that moment.",
        "逐个尺度查看，把掩码中的一行方块与那一刻记忆里的内容作比较。",
    ),
    "tour_codebook_title": ("One codebook for all scales?", "所有尺度共用一个码本吗？"),
    "tour_codebook_look": (
        "the colours of the token maps: a colour is a code, and similar codes have similar colours.",
        "词元图的颜色：一种颜色是一个编码，相近的编码颜色相近。",
    ),
    "tour_codebook_question": (
        "The first map is a single token for the whole picture, the last one has a token for every small patch. Do they use the same codebook?",
        "第一张图用一个词元代表整幅图像，最后一张图每小块一个词元。它们用同一个码本吗？",
    ),
    "tour_codebook_a": ("Yes, one codebook serves all scales", "是，所有尺度共用一个码本"),
    "tour_codebook_b": ("No, every scale has its own", "不是，每个尺度各有一个"),
    "tour_codebook_c": ("Coarse scales share one, fine scales another", "粗尺度共用一个，细尺度共用另一个"),
    "tour_codebook_why": (
        "A code is a vector that is added to the sum. Enlarged from the 1 × 1 map it shifts the whole picture, in the last map it mends one patch; the vectors come from the same table. So one output layer predicts every scale, and the scale is told to the transformer by an embedding of its own.",
        "编码是加到总和上的一个向量。从 1 × 1 的图放大，它会改变整幅图像；在最后一张图里，它只修补一小块；但向量都出自同一张表。所以一个输出层就能预测所有尺度，而当前是哪个尺度由单独的嵌入告诉变换器。",
    ),
    "tour_codebook_try": (
        "point at tokens of the first and of the last map: their code numbers come from the same range.",
        "把指针移到第一张图和最后一张图的词元上：编码号出自同一范围。",
    ),
    "tour_phi_title": ("What is phi?", "phi 是什么？"),
    "tour_phi_look": (
        "the samples, and the maps below them, which are empty until you choose a sample: there it is taken apart, scale by scale.",
        "样本图片，以及下面的图；选定样本之前它们是空的，之后样本会在那里逐个尺度地分解。",
    ),
    "tour_phi_question": (
        "Before the enlarged codes of a scale are added to the sum, they pass through phi. What is it?",
        "一个尺度的编码放大之后，要先经过 phi 才加到总和上。phi 是什么？",
    ),
    "tour_phi_a": ("Random noise, so that results vary", "随机噪声，使结果多样"),
    "tour_phi_b": ("A small learned convolution that mends what enlarging blurs", "一个学到的小卷积，修补放大造成的模糊"),
    "tour_phi_c": ("The attention between scales", "尺度之间的注意力"),
    "tour_phi_why": (
        "A small map enlarged by interpolation is too smooth. phi is a 3 × 3 convolution, trained with the tokenizer and mixed with its own input: phi(h) = (1 − r) h + r conv(h), with r = {ratio} in the published model. Its {phis} sets of weights are shared among the {scales} scales.",
        "小图经插值放大后过于平滑。phi 是与分词器一起训练的 3 × 3 卷积，并与自己的输入混合：phi(h) = (1 − r) h + r conv(h)，公开模型中 r = {ratio}。它的 {phis} 组权重由 {scales} 个尺度共用。",
    ),
    "tour_phi_try": (
        "choose a sample, go from scale to scale and watch the error shrink.",
        "选一个样本，逐个尺度查看，看误差如何缩小。",
    ),
    "tour_coarse_title": ("A coarse map, decoded alone", "单独解码粗尺度"),
    "tour_coarse_look": (
        "the pictures below the first, coarse maps.",
        "最前面几张粗图下面的图像。",
    ),
    "tour_coarse_question": (
        "Why do the first pictures look so poor, and not like a neat small version of the last one?",
        "最前面的图像为什么这么差，而不像最后一张的清晰缩小版？",
    ),
    "tour_coarse_a": ("The coarse maps were trained too little", "粗尺度训练得不够"),
    "tour_coarse_b": (
        "A coarse map is the first, smooth part of a sum, not a small picture",
        "粗尺度的图是总和里最先的平滑部分，而不是一张小图",
    ),
    "tour_coarse_c": ("The model guesses at first and redraws later", "模型先猜，之后再重画"),
    "tour_coarse_why": (
        "Every scale is decoded at full size, from the sum so far. The first terms hold only the smooth overall shape, and the decoder was trained on finished sums, so an unfinished one is strange to it. A fine map alone looks worse still: a correction without what it corrects.",
        "每个尺度都从到此为止的和、按完整尺寸解码。最初几项只有平滑的整体形状，而解码器是在完整的和上训练的，没加完的和对它来说很陌生。单独的细尺度更难看：那是没有对象的修正。",
    ),
    "tour_coarse_try": ("in the chapter “{tab_draw}”, look at “{added}”.", "在“{tab_draw}”一章中看“{added}”。"),
    "tour_count_title": ("More tokens, yet faster?", "词元更多，反而更快？"),
    "tour_count_look": (
        "the sentence above the maps: tokens and steps of this model.",
        "词元图上方的那句话：这个模型的词元数和步数。",
    ),
    "tour_count_question": (
        "For a picture of 256 pixels, a raster-order model writes {last} tokens, VAR {tokens}. How can VAR be faster?",
        "画一张 256 像素的图，光栅顺序的模型要写 {last} 个词元，VAR 要写 {tokens} 个。VAR 怎么会更快？",
    ),
    "tour_count_a": ("Its tokens are smaller", "它的词元更小"),
    "tour_count_b": ("It leaves most of its tokens out", "它省去了大部分词元"),
    "tour_count_c": (
        "It needs {scales} steps in place of {last}, as a whole map is drawn in one",
        "它只要 {scales} 步而不是 {last} 步，因为一步画出一整张图",
    ),
    "tour_count_why": (
        "One token at a time leaves most of a processor idle; a whole map keeps it busy. VAR even does more arithmetic than a raster-order model with a cache. What it saves is steps that wait for each other.",
        "一次一个词元，处理器大半闲着；一次一整张图，它就忙起来了。与带缓存的光栅顺序模型相比，VAR 的计算量甚至更大。它省下的是必须互相等待的步数。",
    ),
    "tour_count_try": (
        "press {generate} and read the sentence above the maps: it counts the forward passes.",
        "点击“{generate}”，读词元图上方的那句话：它数出了前向计算的次数。",
    ),
    "tour_diffusion_title": ("Is it diffusion?", "它是扩散模型吗？"),
    "tour_diffusion_look": (
        "the large picture and the field below it, which tells of the token under the cursor.",
        "大图，以及它下面介绍光标所在词元的一栏。",
    ),
    "tour_diffusion_question": (
        "The picture gets sharper step by step. Is VAR a diffusion model?",
        "图像一步步变清晰。VAR 是扩散模型吗？",
    ),
    "tour_diffusion_a": ("Yes: it removes noise step by step", "是：它一步步去除噪声"),
    "tour_diffusion_b": ("Yes, among tokens: every step redraws all of them", "是，不过在词元上：每一步都重画所有词元"),
    "tour_diffusion_c": (
        "No: it draws codes from a distribution, each of them once, and adds them up",
        "不是：它按分布抽取编码，每个只抽一次，再加起来",
    ),
    "tour_diffusion_why": (
        "There is no noise to remove, and nothing drawn is drawn again. Codes are sampled from probabilities over the codebook, as a language model samples words; later scales only add. That is an autoregressive model, trained with cross-entropy, whose unit is a whole map.",
        "没有噪声要去除，画过的也不再重画。编码按码本上的概率抽取，就像语言模型抽取词语；后面的尺度只是往上加。这是用交叉熵训练的自回归模型，只不过以整张图为单位。",
    ),
    "tour_diffusion_try": (
        "point at a token: the list shows the probabilities that its code was drawn from.",
        "把指针移到一个词元上：列表给出抽取其编码的概率。",
    ),
    "tour_lowrank_title": ("A cheaper attention, the same seed", "更省的注意力，同一个种子"),
    "tour_lowrank_look": (
        "the tables of errors, a number for every layer and head: how far off the outputs of low-rank attention are. Do not draw yet.",
        "误差表，每层每头一个数：低秩注意力的输出偏差有多大。先不要作画。",
    ),
    "tour_lowrank_question": (
        "Low-rank attention keeps a few sums in place of all keys and values, so its outputs are slightly off. What becomes of the picture?",
        "低秩注意力用少量的和代替全部的键和值，输出因此略有偏差。图像会怎样？",
    ),
    "tour_lowrank_a": ("The same picture, a little blurred", "同一张图，略微模糊"),
    "tour_lowrank_b": ("Another drawing of the same class, often as good", "同一类别的另一张画，往往一样好"),
    "tour_lowrank_c": ("Noise, as errors add up over the scales", "噪声，因为误差逐级累加"),
    "tour_lowrank_why": (
        "Where probabilities change a little, some token falls on another code, and all later scales build upon that. So the drawing parts from the exact one without becoming worse. With large logits or too small a rank it does break, and this tab shows where.",
        "概率稍有变化，某个词元就会落到另一个编码上，后面的尺度都建立在它之上。所以画与精确的那张分道扬镳，却不因此变差。若 logit 很大或秩太小，它确实会坏掉，本页会显示从哪里开始。",
    ),
    "tour_lowrank_try": (
        "press “{both}”, slide from one picture to the other, and then make the approximation rougher.",
        "点击“{both}”，用滑块在两张图之间来回比较，再把近似调得更粗。",
    ),
    "tour_cost_title": ("Twice the side", "边长翻倍"),
    "tour_cost_look": (
        "the recorded curves. Both axes are logarithmic, so a power of the side is a straight line.",
        "录制的曲线。两个坐标轴都是对数的，所以边长的幂是一条直线。",
    ),
    "tour_cost_question": (
        "The side of the last map doubles. By how much does the work of exact attention grow, once maps are large?",
        "最后一张图的边长翻倍。图足够大时，精确注意力的计算量增加多少？",
    ),
    "tour_cost_a": ("2 times", "2 倍"),
    "tour_cost_b": ("4 times", "4 倍"),
    "tour_cost_c": ("16 times", "16 倍"),
    "tour_cost_why": (
        "Twice the side is four times the tokens, and each is compared with all tokens of the coarser scales and of its own: pairs grow like the fourth power of the side. Low-rank attention keeps a state of fixed size, so its work grows like the number of tokens, 4 times. On small maps it is slower all the same: look where the curves cross.",
        "边长翻倍，词元数变为四倍，而每个词元都要与所有更粗尺度和本尺度的全部词元比较：配对数按边长的四次方增长。低秩注意力的状态大小固定，计算量随词元数增长，即 4 倍。但在小图上它反而更慢：看曲线在哪里相交。",
    ),
    "tour_cost_try": ("measure on this machine and see where its points fall.", "在这台机器上测量，看结果落在哪里。"),
    "tour_edit_title": ("Change only a part", "只改一部分"),
    "tour_edit_look": ("the picture and its mask. What is marked will be drawn anew.", "图片和它的掩码。标出的地方会重新画。"),
    "tour_edit_question": (
        "The model was never trained to edit. How does it leave what is not marked as it is?",
        "模型从未为编辑训练过。它怎样让没有标出的部分保持不变？",
    ),
    "tour_edit_a": ("It draws a new picture and pastes the old pixels over it", "先画一张新图，再把旧像素贴回去"),
    "tour_edit_b": (
        "Outside the mask it takes the picture's own tokens, at every scale",
        "在掩码之外，每个尺度都用图片自己的词元",
    ),
    "tour_edit_c": ("A second network blends old and new", "由第二个网络融合新旧"),
    "tour_edit_why": (
        "The picture is taken apart into its own token maps. At every scale the tokens outside the mask are set to those, and only the tokens inside are drawn, in view of all the others. It is the teacher forcing of training, on a part of the map.",
        "图片先被分解成自己的词元图。在每个尺度上，掩码之外的词元取自这些图，只有掩码之内的词元是新画的，并且看得到其他所有词元。这就是训练时的教师强制，只用在图的一部分上。",
    ),
    "tour_edit_try": ("mark a part, choose a class and let it be drawn.", "标出一部分，选一个类别，让模型来画。"),
    # -- many visitors, and requests that nobody meant
    "class_place": ("You are number {place} of {all} in the queue.", "您在队列中排第 {place} 位，共 {all} 位。"),
    "class_busy": (
        "You already have several runs in the queue. Wait for one of them to finish.",
        "您已有多个运行在排队，请等其中一个完成。",
    ),
    "class_unexpected": (
        "Something went wrong on the server, and this request was dropped. The page goes on working.",
        "服务器出了问题，这个请求已被放弃。页面仍可继续使用。",
    ),
    "class_no_address": (
        "Files are taken from your device alone, not from an address of the internet.",
        "只接受来自您设备的文件，不接受网址。",
    ),
    "class_no_page": ("There is nothing at this address.", "这个地址没有内容。"),
    "class_no_length": ("The request does not say how long it is.", "请求没有说明自己的长度。"),
    "class_too_large": ("This is larger than the page takes.", "超出了本页可接受的大小。"),
    "class_too_slow": ("The request took too long to arrive.", "请求到达得太慢。"),
    "class_broken_off": ("The request broke off.", "请求中断了。"),
    "class_no_room": ("The server has no room for files at the moment.", "服务器目前没有存放文件的空间。"),
    "class_no_host": (
        "The page is not served under this name. Whoever runs it can allow it: --allowed-host.",
        "本页不以这个主机名提供服务。运行者可以用 --allowed-host 允许它。",
    ),
    "class_other_site": ("Pages of other sites may not ask this page for anything.", "其他网站的页面不能向本页发出请求。"),
    # -- errors
    "published_needs": (
        "These are the published weights: the first run reads them from the disk of this machine. Memory must hold them; without a GPU, expect to wait.",
        "这是官方发布的权重：第一次运行会从这台机器的磁盘读取。内存须放得下；没有 GPU 时要等较久。",
    ),
    "out_of_memory": ("There is not enough memory for this model on this machine.", "这台机器的内存不足以运行该模型。"),
    "run_failed": ("The model could not finish: {error}", "模型未能完成：{error}"),
    "file_failed": ("A file of the server cannot be used: {error}", "服务器的一个文件无法使用：{error}"),
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
    """The visitor's language, of LANGUAGES: the one chosen on the page, Chinese where the browser puts any Chinese first, or English."""
    headers = getattr(request, "headers", None) or {}
    chosen = re.search(r"(?:^|;\s*)vm_language=(en|zh)(?:;|$)", headers.get("cookie", ""))  # by the page's own switch
    if chosen:
        return chosen[1]
    header = headers.get("accept-language", "").lower()
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
