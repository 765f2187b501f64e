"""Every word the page and its command show. Braces are filled in where a text is used."""
# ruff: noqa: RUF001 (the multiplication sign and the dash are meant)

# -- command line
COMMAND = "Serves the VAR Mini page: watch a transformer draw an image scale by scale."
HOST_HELP = "address to listen on; 0.0.0.0 makes the page reachable from other machines (default: %(default)s)"
PORT_HELP = "port to listen on (default: %(default)s)"
MODEL_HELP = "model chosen at first: a shipped name, var_d16, or a checkpoint folder (default: %(default)s)"
COMMAND_ERROR = "demo: {error}"

# -- page
TITLE = "VAR Mini"
SENTENCE = (
    "Next-scale prediction: the model draws a whole token map at once, first the coarsest, then ever finer ones, "
    "and each map adds the detail that the maps before it left out."
)

# -- controls
MODEL = "Model"
MODEL_IN_FOLDER = "{name} (from a folder)"
MODEL_PUBLISHED = "VAR-d16 (published)"
CLASS = "Class"
SEED = "Seed"
GUIDANCE = "Guidance"
GUIDANCE_INFO = "0 switches it off"
TEMPERATURE = "Temperature"
TEMPERATURE_INFO = "higher is more varied"
TOP_K = "Top-k"
TOP_K_INFO = "0 keeps all codes"
TOP_P = "Top-p"
TOP_P_INFO = "1 keeps all codes"
GENERATE = "Generate"
STOP = "Stop"
STOPPED = "Stopped. The scales drawn so far stay on the page."

# -- attention back end
BACK_END = "Attention"
BACK_ENDS = [
    ("exact", "exact"),
    ("polynomial", "poly"),
    ("landmarks", "landmark"),
    ("pooled keys", "pool"),
    ("automatic", "auto"),
]
POLYNOMIAL = "Polynomial"
POLYNOMIALS = [
    ("degree 2", "2"),
    ("degree 2, calibrated", "2-calibrated"),
    ("degree 4", "4"),
    ("degree 4, calibrated", "4-calibrated"),
]
LANDMARKS = "Landmarks per head"
FACTOR = "Pooling"
FACTORS = [("2 × 2 tokens", 2), ("4 × 4 tokens", 4)]
BACK_END_NOTE = "low-rank ones are compared with exact from the same seed"
POLYNOMIAL_NOTE = "in place of the exponential"
LANDMARKS_NOTE = "fixed points that stand for all keys"
FACTOR_NOTE = "fine maps, averaged"
LANDMARK_COUNTS = "landmarks"
CALIBRATED_DEGREES = "calibrated degrees"
NOT_STORED = (
    "attention = '{name}': this model has these {what} stored: {stored}. python -m var_mini train landmarks makes others."
)
NONE_STORED = "none"

# -- comparison
SLIDER_LABEL = "How much of the exact picture is shown, in percent from the left"
SLIDER_ALT = "The picture drawn with {name} attention."
SLIDER = "Exact left of the handle, {name} right of it, from the same seed."
AUTO_CHOSE = "Automatic chose {name}: {reason}."
SLOWER_HERE = (
    "At these {tokens} tokens {name} attention takes {ratio} times as long as exact attention (median of {rounds} warm runs). "
    "Low rank pays off at larger maps: python -m var_mini bench scaling measures from which size on."
)
FASTER_HERE = (
    "At these {tokens} tokens {name} attention is {ratio} times as fast as exact attention (median of {rounds} warm runs)."
)
DIFFERENCE_ALT = "Absolute difference of the two images: at most {largest}, {mean} on average, where black to white is 1."
DIFFERENCE_CAPTION = "Difference: dark blue 0, yellow 1 (black against white). Largest {largest}, mean {mean}."
ATTENTION_TIME = "Attention"
RANK = "Rows of a layer's state"
STATE = "State, all layers"
RESERVE = "Reserve of keys and values"
EQUAL_TOKENS = "Tokens equal to exact's"
EQUAL_PER_SCALE = "of each scale"
ERROR = "Error of attention outputs"
MEDIAN_AND_LARGEST = "median {median}, largest {largest}"
FALLBACKS = "Computed exactly instead"
SMALLEST = "Smallest denominator"
KILOBYTES = "{value} kB"

# -- the strip of scales
HINT = "Press Generate: {scales} maps fill from left to right, one pass each."
PREPARING = "Preparing {model}. The first run also loads its weights."
DRAWING = "Scale {done} of {scales} is drawn."
DONE = "All {scales} scales are drawn: {passes} forward passes for {tokens} tokens."
FAILED = "The run ended early: {error}"
PUBLISHED_NEEDS = (
    "These are the published weights: the first run reads them from the folder that VAR_WEIGHTS names, or else downloads about "
    "1.7 GB from the Hugging Face Hub. Memory must hold them; without a GPU, expect to wait."
)
MODEL_FACTS = "{name} · {size} × {size} px · {scales} scales, {tokens} tokens · {codes} codes"
STRIP_LABEL = "Scales from coarse to fine. Scroll sideways to see all."
ROW_MAP = "Token map"
ROW_MAP_NOTE = "one colour per code; similar codes, similar colours"
ROW_IMAGE = "Image so far"
ROW_IMAGE_NOTE = "all maps up to here, added up and decoded"
ROW_TIME = "Time"
ROW_TIME_NOTE = "milliseconds in this run; rest: all else in the transformer, and sampling"
ROW_ENTROPY = "Mean entropy"
ROW_ENTROPY_NOTE = "nats, at most {limit:.2f}"
SIDE = "{side} × {side}"
TOKENS = "{count} tokens"
ONE_TOKEN = "1 token"
ATTENTION = "attention"
REST = "rest"
DECODER = "decoder"
ENTROPY = "entropy"
MILLISECONDS = "{value} ms"
NO_VALUE = "–"
MAP_ALT = "Token map {side} by {side}, code numbers row by row: {codes}."
MAP_ALT_MORE = "{codes}, and {more} more"
IMAGE_ALT = "{subject}, decoded after scale {scale} of {scales}, {tokens} of {all} tokens."
EMPTY_MAP_ALT = "Token map {side} by {side}, not drawn yet."
EMPTY_IMAGE_ALT = "Image after scale {scale}, not drawn yet."

# -- the result
RESULT = "Result"
RESULT_EMPTY = "The image appears here."
RESULT_EMPTY_ALT = "Result, not drawn yet."
RESULT_CAPTION = "{subject}, seed {seed}"
RESULT_ALT = "{subject}, seed {seed}: the image after scale {scale} of {scales}, {size} by {size} pixels."
AFTER_SCALE = "After scale"
COUNT_OF = "{done} of {all}"
TOTAL_TIME = "Total time"
TOKEN_COUNT = "Tokens"
DEVICE = "Device"
DEVICE_CPU = "CPU: {processor}, threads: {threads}"
DTYPE = "Number format"
SECONDS = "{value} s"

# -- errors
OUT_OF_MEMORY = "There is not enough memory for this model on this machine."
RUN_FAILED = "The model could not finish: {error}"
