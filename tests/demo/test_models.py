"""The models behind the page."""

import torch

from demo import api, models


def test_the_page_computes_in_the_type_it_was_started_with(tiny):
    try:
        models.compute_in("bfloat16")
        loaded = models.load_model(tiny)
        assert loaded.dtype == "bfloat16" and loaded.model.dtype == torch.bfloat16
        drawn = api.generate(tiny, 1, 77)
        assert api.tokenize(tiny, drawn["image"])["psnr_db"] > 0
    finally:
        models.compute_in("float32")
    assert models.load_model(tiny).dtype == "float32"
