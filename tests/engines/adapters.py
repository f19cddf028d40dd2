"""LoRA adapters for the shipped checkpoints, written as peft writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TARGETS = ("q_proj", "v_proj")


def adapter(folder: Path, base: Path, *, scale: float, rank: int = 8, wider: int = 0) -> Path:
    """An adapter of seeded random weights; with `scale` 0 it changes nothing, `wider` than the base by so much."""
    import torch
    from safetensors.torch import save_file

    config = json.loads((base / "config.json").read_text())
    width, head = config["hidden_size"] + wider, config.get("head_dim")
    heads = {"q_proj": config["num_attention_heads"], "v_proj": config["num_key_value_heads"]}
    head = head or config["hidden_size"] // config["num_attention_heads"]
    random = torch.Generator().manual_seed(5)
    weights: dict[str, Any] = {}
    for layer in range(config["num_hidden_layers"]):
        for target in TARGETS:
            name = f"base_model.model.model.layers.{layer}.self_attn.{target}"
            weights[f"{name}.lora_A.weight"] = torch.randn(rank, width, generator=random)
            weights[f"{name}.lora_B.weight"] = scale * torch.randn(heads[target] * head, rank, generator=random)
    folder.mkdir()
    save_file(weights, folder / "adapter_model.safetensors", {"format": "pt"})
    written = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": rank, "lora_dropout": 0.0,
        "bias": "none", "target_modules": list(TARGETS), "base_model_name_or_path": str(base), "inference_mode": True,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(written))
    return folder
