"""Is the network as fast as the machine allows, and as the original?

The same random weights in both, in one process, measured in turns:

    python benchmarks/model_vs_transformers.py --preset=smol
    python benchmarks/model_vs_transformers.py --preset=3b --dtype=bfloat16        # on a GPU

    prefill   one pass over a prompt, tokens/s        floor: FLOPs / matmul rate
    decode    greedy, token by token, tokens/s        floor: parameter bytes / read bandwidth
    train     forward, backward, AdamW, seconds       floor: FLOPs / matmul rate

In float32 another row decodes with our weights stored in bfloat16, against the same float32 peer,
and a line tells what that costs in the logits.
"""

import argparse
import dataclasses
import functools
import tempfile
import time

import jax
import jax.numpy as jnp
import machine
import numpy as np
import optax
import torch
import transformers

from reasoner_jax.core import params as trees
from reasoner_jax.models.attention import KVCache
from reasoner_jax.models.config import Compute, DecoderConfig, TalkerConfig, ThinkerConfig
from reasoner_jax.models.omni import Omni
from reasoner_jax.models.presets import preset
from reasoner_jax.weights.load import load

transformers.utils.logging.set_verbosity_error()


def peer(
    sizes: ThinkerConfig, dtype: str, talker: TalkerConfig | None = None
) -> transformers.PreTrainedModel:
    """The original at our sizes, random weights, on the machine's best device.

    With a talker it has a vocoder too, whose sizes are as small as can be: replace it.
    """
    audio = sizes.audio
    hearing = dict(
        num_mel_bins=audio.num_mel_bins,
        d_model=audio.width,
        encoder_layers=audio.num_layers,
        encoder_attention_heads=audio.num_heads,
        encoder_ffn_dim=audio.mlp_width,
        output_dim=audio.output_width,
        n_window=audio.chunk_frames // 2,
    )
    config = transformers.Qwen2_5OmniConfig(
        thinker_config=dict(
            text_config=dict(
                vocab_size=sizes.vocab_size,
                tie_word_embeddings=sizes.tie_embeddings,
                **_decoder(sizes.decoder),
            ),
            audio_config=hearing,
            vision_config=dict(depth=1, hidden_size=32, num_heads=2, intermediate_size=32),
            image_token_index=sizes.vocab_size - 1,
            video_token_index=sizes.vocab_size - 2,
            vision_start_token_id=sizes.vocab_size - 3,
            vision_end_token_id=sizes.vocab_size - 4,
            audio_token_index=sizes.audio_token_id,
            audio_start_token_id=sizes.audio_start_token_id,
            audio_end_token_id=sizes.audio_end_token_id,
            tie_word_embeddings=sizes.tie_embeddings,
        ),
        talker_config=None if talker is None else _talker(talker),
        token2wav_config=_SMALLEST_VOCODER,
        enable_audio_output=talker is not None,
    )
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = transformers.Qwen2_5OmniForConditionalGeneration(config)
    return model.to(getattr(torch, dtype)).eval()


_SMALLEST_VOCODER = dict(
    dit_config=dict(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        head_dim=16,
        emb_dim=16,
        num_embeds=48,
        enc_emb_dim=8,
        enc_dim=8,
        enc_channels=[8, 8, 8, 8, 24],
        enc_attention_channels=4,
        enc_se_channels=4,
    ),
    bigvgan_config=dict(upsample_initial_channel=64),
)


def _decoder(sizes: DecoderConfig) -> dict:
    return dict(
        hidden_size=sizes.width,
        intermediate_size=sizes.mlp_width,
        num_hidden_layers=sizes.num_layers,
        num_attention_heads=sizes.num_heads,
        num_key_value_heads=sizes.num_kv_heads,
        rms_norm_eps=sizes.norm_eps,
        rope_parameters=dict(
            rope_type="default",
            rope_theta=sizes.rope_theta,
            mrope_section=list(sizes.mrope_section),
        ),
    )


def _talker(sizes: TalkerConfig) -> dict:
    return dict(
        vocab_size=sizes.vocab_size,
        embedding_size=sizes.embedding_width,
        head_dim=sizes.decoder.head_dim,
        tts_codec_start_token_id=sizes.codec_start_token_id,
        tts_codec_end_token_id=sizes.codec_end_token_id,
        tts_codec_pad_token_id=sizes.codec_pad_token_id,
        tts_codec_mask_token_id=sizes.codec_mask_token_id,
        tts_text_start_token_id=sizes.text_start_token_id,
        tts_text_end_token_id=sizes.text_end_token_id,
        tts_text_pad_token_id=sizes.text_pad_token_id,
        **_decoder(sizes.decoder),
    )


def turns(ours, theirs, rounds: int) -> tuple[float, float]:
    """The fastest of some calls of each, in seconds; in turns, so that both meet the same noise."""
    times = {ours: [], theirs: []}
    for call in times:
        call()
    for _ in range(rounds):
        for call, seconds in times.items():
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
    return min(times[ours]), min(times[theirs])


def torch_done(result: torch.Tensor) -> torch.Tensor:
    if result.is_cuda:
        torch.cuda.synchronize()
    return result


@functools.partial(jax.jit, static_argnames=("thinker", "num_tokens"))
def greedy(thinker, params, tokens, cache, num_tokens):
    """Prefill and `num_tokens` greedy steps, all on the device."""

    def step(token, cache):
        output = thinker.apply({"params": params}, token, cache=cache)
        last = output.hidden_states[:, -1:]
        scores = thinker.apply({"params": params}, last, method="logits")
        return jnp.argmax(scores, axis=-1).astype(jnp.int32), output.cache

    def body(index, state):
        token, cache, out = state
        token, cache = step(token, cache)
        return token, cache, out.at[:, index].set(token[:, 0])

    token, cache = step(tokens, cache)
    out = jnp.zeros((len(tokens), num_tokens), jnp.int32).at[:, 0].set(token[:, 0])
    return jax.lax.fori_loop(1, num_tokens, body, (token, cache, out))[2]


def decode_calls(omni: Omni, model, prompt: np.ndarray, num_tokens: int):
    """Calls that answer a prompt greedily: ours, theirs."""
    decoder = omni.config.thinker.decoder
    capacity = prompt.shape[1] + num_tokens

    def ours():
        cache = KVCache.create(decoder, omni.compute, len(prompt), capacity)
        out = greedy(omni.thinker, omni.params["thinker"], prompt, cache, num_tokens)
        return np.asarray(out)

    tokens = torch.tensor(prompt, dtype=torch.long, device=model.device)
    options = dict(max_new_tokens=num_tokens, min_new_tokens=num_tokens, do_sample=False)

    @torch.no_grad()
    def theirs():
        mask = torch.ones_like(tokens)
        out = model.thinker.generate(input_ids=tokens, attention_mask=mask, **options)
        return torch_done(out)[:, tokens.shape[1] :].cpu().numpy()

    return ours, theirs


def train_calls(omni: Omni, model, tokens: np.ndarray):
    """Calls that make one AdamW step on next-token loss: ours, theirs."""
    thinker, optimizer = omni.thinker, optax.adamw(1e-5)
    state = [jax.tree.map(jnp.copy, {"model": omni.params["thinker"]["model"]})]
    if not thinker.config.tie_embeddings:
        state[0]["lm_head"] = jax.tree.map(jnp.copy, omni.params["thinker"]["lm_head"])
    state.append(optimizer.init(state[0]))

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, moments, tokens):
        def loss(params):
            scores = thinker.apply({"params": params}, tokens[:, :-1], method="full_logits")
            return optax.softmax_cross_entropy_with_integer_labels(scores, tokens[:, 1:]).mean()

        value, gradients = jax.value_and_grad(loss)(params)
        updates, moments = optimizer.update(gradients, moments, params)
        return optax.apply_updates(params, updates), moments, value

    def ours():
        *state[:], value = step(*state, tokens)
        return float(value)

    trained = [*model.thinker.model.language_model.parameters(), model.thinker.lm_head.weight]
    adamw = torch.optim.AdamW({id(p): p for p in trained}.values(), lr=1e-5)
    labels = torch.tensor(tokens, dtype=torch.long, device=model.device)

    def theirs():
        adamw.zero_grad()
        scores = model.thinker(input_ids=labels[:, :-1], use_cache=False).logits.float()
        value = torch.nn.functional.cross_entropy(scores.flatten(0, 1), labels[:, 1:].flatten())
        value.backward()
        adamw.step()
        return torch_done(value.detach()).item()

    return ours, theirs


def decoder_flops(omni: Omni, batch: int, length: int, every_logit: bool) -> float:
    """Multiply-adds times two of one pass; attention scores counted over the causal half."""
    config = omni.config.thinker
    decoder = config.decoder
    layers = trees.count(omni.params["thinker"]["model"]["layers"])
    head = config.vocab_size * decoder.width
    attention = decoder.num_layers * 2 * decoder.num_heads * decoder.head_dim * length / 2
    return 2 * batch * (length * (layers + attention) + head * (length if every_logit else 1))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--preset", default="smol")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--prompt", type=int, default=256, help="tokens of the prompt")
    parser.add_argument("--tokens", type=int, default=48, help="tokens to decode")
    parser.add_argument("--batch", type=int, default=4, help="rows of the training step")
    parser.add_argument("--length", type=int, default=256, help="tokens a row of it")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    model = peer(preset(args.preset).thinker, args.dtype)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        omni = load(folder, compute=Compute(dtype=args.dtype, param_dtype=args.dtype))
    rng = np.random.default_rng(0)
    vocabulary = omni.config.thinker.vocab_size - 64
    prompt = rng.integers(0, vocabulary, (1, args.prompt)).astype(np.int32)
    report(args, omni, model, prompt, rng.integers(0, vocabulary, (args.batch, args.length + 1)))


def report(args, omni, model, prompt, rows) -> None:
    """Measures and prints the table."""
    bandwidth, rate = machine.read_bandwidth(), machine.matmul_rate(args.dtype)
    print(
        f"{machine.describe()}, torch {torch.__version__}, transformers {transformers.__version__}"
    )
    print(
        f"read bandwidth {bandwidth / 1e9:.1f} GB/s, {args.dtype} matmul {rate / 1e9:.0f} GFLOP/s\n"
    )
    print("| | floor | ours | of floor | transformers | of floor | ours / theirs |")
    print("|---|---|---|---|---|---|---|")
    serving = omni.for_serving()

    def row(name, unit, floor, ours, theirs, faster_is_more=True):
        shares = [x / floor if faster_is_more else floor / x for x in (ours, theirs)]
        ratio = ours / theirs if faster_is_more else theirs / ours
        cells = [f"{name}, {unit}", f"{floor:.4g}", f"{ours:.4g}", f"{shares[0]:.0%}"]
        cells += [f"{theirs:.4g}", f"{shares[1]:.0%}", f"{ratio:.2f}"]
        print("| " + " | ".join(cells) + " |", flush=True)

    first = turns(*decode_calls(serving, model, prompt, 1), args.rounds)
    length = prompt.shape[1]
    row("prefill", "tokens/s", length * rate / decoder_flops(omni, 1, length, False),
        *(length / t for t in first))  # fmt: skip
    many = turns(*decode_calls(serving, model, prompt, args.tokens), args.rounds)
    theirs = (args.tokens - 1) / (many[1] - first[1])
    read = trees.num_bytes(serving.params["thinker"]["model"])
    row("decode", "tokens/s", bandwidth / read, (args.tokens - 1) / (many[0] - first[0]), theirs)
    if args.dtype == "float32":
        narrow = dataclasses.replace(
            serving,
            params=jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), serving.params),
            compute=dataclasses.replace(serving.compute, param_dtype="bfloat16"),
        )
        calls = [decode_calls(narrow, model, prompt, n)[0] for n in (1, args.tokens)]
        start, end = turns(*calls, args.rounds)
        ours = (args.tokens - 1) / (end - start)
        row("decode, bfloat16 weights", "tokens/s", 2 * bandwidth / read, ours, theirs)
    steps = turns(*train_calls(omni, model, rows), max(2, args.rounds // 2))
    flops = 3 * decoder_flops(omni, *rows[:, 1:].shape, every_logit=True)
    row("training step", "s", flops / rate, *steps, faster_is_more=False)
    if args.dtype == "float32":
        exact, rounded = (np.asarray(x.logits(prompt)) for x in (serving, narrow))
        error = np.abs(exact - rounded)
        print(
            f"\nlogits (standard deviation {exact.std():.3f}) with bfloat16 weights: root mean "
            f"square error {np.sqrt((error**2).mean()):.1e}, largest {error.max():.1e}"
        )


if __name__ == "__main__":
    main()
