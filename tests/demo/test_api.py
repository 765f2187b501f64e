"""The endpoints for programs, through a real server: right images for many visitors at once, and errors that can be read."""

from __future__ import annotations

import base64
import io
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from var_mini import checkpoints
from var_mini.config import Sampling
from var_mini.view.images import to_uint8

gradio_client = pytest.importorskip("gradio_client")

VISITORS, TURNS = 30, 3
PATIENT = {"timeout": None}  # the client gives up after five seconds otherwise, which a busy machine may well need


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,")))).convert("RGB"))


@pytest.fixture(scope="module")
def client(server):
    return gradio_client.Client(server, verbose=False, httpx_kwargs=dict(PATIENT))


def test_generate_returns_the_library_s_image(client, tiny):
    run = client.predict(tiny, 2, 7, 1.0, 0.8, 5, 0.9, "poly-2", api_name="/generate")
    trace = checkpoints.load(tiny).trace(2, 7, Sampling(1.0, 0.8, 5, 0.9), attention="poly-2")
    assert np.array_equal(pixels(run["image"]), to_uint8(trace.image[0]))
    assert [scale["ids"] for scale in run["scales"]] == [step.token_ids[0].tolist() for step in trace.steps]
    assert run["settings"]["attention"] == "poly-2"


def test_compare_counts_equal_tokens(client, tiny):
    both = client.predict(tiny, 1, 3, "poly-2", "exact", api_name="/compare")
    own, other = ([i for scale in both[side]["scales"] for i in scale["ids"]] for side in ("own", "other"))
    assert both["equal_tokens"] == pytest.approx(np.mean(np.array(own) == np.array(other)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("/etc/passwd", 0, 0), "must be one of"),
        (("fashion-28", 99, 0), "class = 99"),
        (("fashion-28", 0, -1), "seed = -1"),
        (("fashion-28", 0, 0, 1e9), "guidance = 1000000000"),
        (("fashion-28", 0, 0, -1, -1, -1, -1, "poly-3"), "degree = 3"),
        (("fashion-28", 0, 0, -1, -1, -1, -1, "x" * 10_000), "attention = 'xxx"),
        (([1], {"a": 1}, None), "must be"),
    ],
)
def test_bad_calls_get_one_sentence(client, arguments, message):
    with pytest.raises(Exception, match=message) as caught:
        client.predict(*arguments, api_name="/generate")
    assert "Traceback" not in str(caught.value) and len(str(caught.value)) < 1000


def grey_png(values: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def test_tokenize_returns_the_tokenizer_s_ids_and_its_picture(client, tiny):
    values = np.random.default_rng(0).integers(0, 256, (12, 12), dtype=np.uint8)
    found = client.predict(tiny, grey_png(values), api_name="/tokenize")
    tokenizer = checkpoints.load(tiny).tokenizer
    with torch.inference_mode():
        quantized = tokenizer.tokenize(torch.from_numpy(values).float()[None, None] / 127.5 - 1)
        image = (tokenizer.decode(quantized.f_hat[-1])[0] + 1) / 2
    assert [scale["ids"] for scale in found["scales"]] == [ids[0].tolist() for ids in quantized.token_ids]
    assert [scale["side"] for scale in found["scales"]] == [1, 2, 3]
    assert np.array_equal(pixels(found["reconstruction"]), to_uint8(image))
    assert np.array_equal(pixels(found["original"])[..., 0], values) and found["inverted"] is False
    mse = ((image[0].double().numpy() - values / 255) ** 2).mean()
    assert found["psnr_db"] == pytest.approx(10 * np.log10(1 / mse), abs=1e-3) == found["scales"][-1]["psnr_db"]
    other = client.predict(tiny, grey_png(255 - values), "whole", "yes", api_name="/tokenize")
    assert other["scales"] == found["scales"] and other["inverted"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("/etc", "data:image/png;base64,AAAA"), "model = '/etc': must be one of"),
        (("fashion-28", "/etc/passwd"), "must begin with data:image/png"),
        (("fashion-28", "file:///etc/passwd"), "must begin with data:image/png"),
        (("fashion-28", "http://127.0.0.1/x.png"), "must begin with data:image/png"),
        (("fashion-28", "data:image/png;base64,AAAA"), "not a readable picture"),
        (("fashion-28", "data:image/svg+xml;base64,PHN2Zy8+"), "not a readable picture"),
        (("fashion-28", "data:image/png;base64," + "A" * 2_900_000), "at most 2,097,152 bytes"),
        (("fashion-28", None), "image = None|must be"),
        (("fashion-28", 7), "image = 7|must begin"),
        (("fashion-28", {"path": "/etc/passwd"}), "must be"),
        (("fashion-28", grey_png(np.zeros((9, 9), np.uint8)), "stretch"), "fit = 'stretch'"),
        (("fashion-28", grey_png(np.zeros((9, 9), np.uint8)), "crop", 1), "invert = "),
    ],
)
def test_bad_pictures_get_one_sentence(client, arguments, message):
    with pytest.raises(Exception, match=message) as caught:
        client.predict(*arguments, api_name="/tokenize")
    assert "Traceback" not in str(caught.value) and "root:" not in str(caught.value) and len(str(caught.value)) < 1000


@pytest.mark.slow
def test_thirty_visitors_at_once_get_ninety_right_images(server, tiny):
    model = checkpoints.load(tiny)
    sampling = checkpoints.load_config(tiny).sampling
    results, failures = {}, []
    clients = [gradio_client.Client(server, verbose=False, httpx_kwargs=dict(PATIENT)) for _ in range(VISITORS)]

    def visit(i: int) -> None:
        try:
            for turn in range(TURNS):
                seed = TURNS * i + turn
                results[seed] = clients[i].predict(tiny, i % 3, seed, api_name="/generate")["image"]
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=visit, args=(i,)) for i in range(VISITORS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(results) == VISITORS * TURNS
    for seed, image in results.items():
        assert np.array_equal(pixels(image), to_uint8(model.trace(seed // TURNS % 3, seed, sampling).image[0])), seed
