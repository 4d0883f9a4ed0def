"""Models, machines and requests drawn at random, and both sides of a comparison."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from accel_sim import Machine, load_machine
from accel_sim.machines.builtin import builtin_accelerators
from tests.accel_sim.models.reference.architecture import FAMILIES, encoder, vision
from tests.accel_sim.models.reference.model import Asked


@dataclass(frozen=True)
class Drawn:
    values: Mapping[str, Any]
    accelerator: str
    settings: list[str]
    asked: Asked
    density: float
    seed: int

    @property
    def machine(self) -> Machine:
        return load_machine(self.accelerator, self.settings)


def drawn(seed: int) -> Drawn:
    rng = random.Random(seed)
    family = rng.choice(list(FAMILIES))
    values = config(family, rng)
    # The reference knows no XOR decoders.
    known = [name for name in builtin_accelerators() if name != "systolic_xor_net"]
    accelerator = rng.choice(["tf_mvp", *known])
    is_vision = family in ("vit", "deit")
    is_encoder = FAMILIES[family] in (encoder, vision)
    prefill = rng.choice([1, 2, rng.randint(3, 70), rng.randint(64, 300)])
    if is_vision:
        class_tokens = {"vit": 1, "deit": 2}[family]
        prefill = (values["image_size"] // values["patch_size"]) ** 2 + class_tokens
    asked = Asked(
        prefill=prefill,
        generate=0 if is_encoder else rng.choice([0, 1, 2, 4]),
        batch=rng.choice([1, 1, 2, 3]),
        context=0 if is_encoder else rng.choice([0, 0, rng.randint(1, 200)]),
        scores=rng.choice([None, None, None, "rows", "tiles", "dram"]),
        cache_bits=None if is_encoder else rng.choice([None, None, 4, 8, 5]),
    )
    density = rng.choice([1.0, 0.5, 0.2, 0.0 if rng.random() < 0.1 else 0.3])
    return Drawn(values, accelerator, settings(accelerator, rng), asked, density, seed)


def config(family: str, rng: random.Random) -> dict[str, Any]:
    g = rng.choice([1, 2, 3])
    h = g * rng.choice([1, 2, 4])
    e = 2 * rng.randint(2, 20)
    d, layers, f = h * e, rng.choice([1, 2, 3]), rng.randint(8, 150)
    vocab, positions = rng.randint(20, 200), 600
    plain = {
        "model_type": family,
        "hidden_size": d,
        "num_hidden_layers": layers,
        "num_attention_heads": h,
        "intermediate_size": f,
        "vocab_size": vocab,
        "max_position_embeddings": positions,
    }
    match family:
        case "bert" | "roberta" | "xlm-roberta" | "camembert":
            return {**plain, "type_vocab_size": rng.choice([1, 2])}
        case "distilbert":
            return {
                "model_type": family,
                "dim": d,
                "n_layers": layers,
                "n_heads": h,
                "hidden_dim": f,
                "vocab_size": vocab,
                "max_position_embeddings": positions,
            }
        case "vit" | "deit":
            values = {**plain, "image_size": rng.choice([8, 24, 40]), "patch_size": 4}
            if rng.random() < 0.5:
                name = {"vit": "ViT", "deit": "DeiT"}[family]
                values["architectures"] = [f"{name}ForImageClassification"]
                values["num_labels"] = rng.randint(2, 90)
            return values
        case "gpt2":
            return {
                "model_type": family,
                "n_embd": d,
                "n_layer": layers,
                "n_head": h,
                "n_inner": rng.choice([None, f]),
                "vocab_size": vocab,
                "n_positions": positions,
            }
        case "opt":
            return {**plain, "ffn_dim": f, "word_embed_proj_dim": d}
    values = {**plain, "num_key_value_heads": g}
    if family in ("qwen3", "gemma", "gemma2") or rng.random() < 0.3:
        values["head_dim"] = 2 * rng.randint(2, 20)
    if family in ("mistral", "gemma2", "phi3"):
        values["sliding_window"] = rng.choice([None, 3, 20, 100]) if family != "gemma2" else 30
    if family not in ("gemma", "gemma2"):
        values["tie_word_embeddings"] = rng.random() < 0.5
    return values


def settings(accelerator: str, rng: random.Random) -> list[str]:
    def maybe(key: str, *choices: Any) -> list[str]:
        return [f"{key}={rng.choice(choices)}"] if rng.random() < 0.3 else []

    found = [
        *maybe("vector.elements_per_cycle", 1, 7, 16, 256),
        *maybe("vector.latency_cycles", 0, 3, 40),
        *maybe("vector.exp_cycles", 2, 5),
        *maybe("vector.exp_operations", 3),
        *maybe("vector.divide_cycles", 3),
        *maybe("vector.divide_operations", 9),
        *maybe("vector.root_cycles", 4),
        *maybe("vector.root_operations", 2),
        *maybe("vector.overlaps", "false", "true"),
        *maybe("activation_buffer.bytes", 65536, 131072, 300000),
        # A tile of eie has whole columns, which need more.
        *maybe("weight_buffer.bytes", 100000, 160000 if accelerator == "eie" else 30000),
        *maybe("dram.bytes_per_cycle", 3.7, 16, 200),
        *maybe("dram.burst_bytes", 32, 128),
        *maybe("dram.first_latency_cycles", 0, 7, 300),
        *maybe("dram.prefetch_across_layers", "false"),
        *maybe("output.words_per_cycle", 16, 64),
        *maybe("energy.case", "low", "high"),
        *maybe("energy.scale", 1.7),
        *maybe("energy.table", "7nm", "45nm"),
        *maybe("dram.row_bytes", 512),
        *maybe("dram.resident", "true"),
    ]
    if accelerator.startswith("tf_mvp"):
        found += maybe("array.datatype", "int8", "fp8", "bf16")
    return found


def keep_of(seed: int, rows: int, cols: int, density: float) -> Any:
    return np.random.default_rng(seed).random((rows, cols)) < density
