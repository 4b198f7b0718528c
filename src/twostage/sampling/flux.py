"""Flux.1 (App. H): one-step predictions, velocity norms and timestep shifts, on diffusers' FluxPipeline.

Flux measures time by the noise: sigma = 1 - t. Its network predicts x_0 - x_1 (noise minus data), the negative of our
velocity. The grids are ours (``twostage.flow.time_grid``); the pipeline gets them as sigmas, with the scheduler's own
shift switched off.
"""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from twostage.finite import finite
from twostage.flow import predict_data, sample_noise, time_grid
from twostage.provenance import atomic_write, write_provenance
from twostage.sampling.trajectory import layout, rms

MEASURES = ("norm", "to_end", "layout_to_end")
DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


def load_flux(model, revision=None, *, device="cpu", precision="bf16", offload=False):
    """diffusers' FluxPipeline from a folder, or from a hub id at a pinned revision (a commit).

    offload: keep only the part in use on the device (for GPUs that cannot hold all of it). Raises ValueError for a hub
    id without a revision, for a folder without a complete FluxPipeline, and when transformers, which the text encoders
    need, is not installed.
    """
    if not Path(model).is_dir() and revision is None:
        raise ValueError(f"{model} is not a folder; a hub id needs `revision`, a commit, to stay what it is")
    try:
        import transformers  # noqa: F401
        from diffusers import FluxPipeline
    except ImportError as error:
        raise ValueError(f"Flux needs the package transformers ({error}); install twostage[flux]") from None
    try:
        pipeline = FluxPipeline.from_pretrained(model, revision=revision, torch_dtype=DTYPES[precision])
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{model}: not a whole FluxPipeline ({reason}); expected diffusers' layout, model_index.json with the "
            "folders that it names: fetch it again"
        ) from None
    if offload:
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.to(device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def study_flux(
    pipeline,
    prompts,
    output,
    output_csv,
    *,
    shifts,
    times,
    steps,
    guidance,
    height,
    width,
    seed=0,
    source=None,
):
    """Sample every prompt with every shift; keep one-step predictions and velocity norms along the trajectories.

    pipeline: a FluxPipeline (``load_flux``); source: its origin, for the record. Prompt i has the noise of
    (seed, i), the same for every shift. guidance: Flux's own distilled guidance scale. The predictions are those of
    shift 1 (uniform steps), or of the first shift where 1 is not among them.

    output: HDF5 with /images uint8 (prompts, shifts, H, W, 3); /predictions uint8 (prompts, T, H, W, 3), decoded
    one-step predictions at the step starts nearest to ``times`` (t = 1: the image itself); /times (T,), /shifts,
    /prompts. output_csv: one row per shift and step start t, with means over prompts and standard errors (``_sem``) of
    three root mean squares over the latent's dimensions. norm: of the velocity; to_end: of (prediction - end of the
    trajectory); layout_to_end: the same after averaging both to a quarter of their side.
    """
    height, width = _checked_sides(pipeline, height, width)
    grids = {shift: time_grid(steps, shift=shift) for shift in shifts}
    followed = 1 if 1 in grids else shifts[0]
    shown = _nearest_starts(grids[followed], times)
    images, predictions, rows = [], [], []
    with torch.inference_mode(), tqdm(total=len(prompts) * len(shifts), desc="Flux", disable=None) as progress:
        for index, prompt in enumerate(prompts):
            noise = _packed_noise(pipeline, seed, index, height, width)
            finals = []
            for shift, grid in grids.items():
                latents, visited = _trajectory(pipeline, prompt, noise, grid, height, width, guidance)
                finals.append(_decode(pipeline, latents, height, width))
                if shift == followed:
                    drawn = [predict_data(*visited[t]) for t in shown if t < 1]
                    pictures = [_decode(pipeline, x, height, width) for x in drawn]
                    predictions.append(np.stack(pictures + [finals[-1]] * (1.0 in shown)))
                end = _unpacked(pipeline, latents.float(), height, width)
                for t, (state, velocity, _) in visited.items():
                    left = _unpacked(pipeline, predict_data(state, velocity, t), height, width) - end
                    values = rms(velocity), rms(left), rms(layout(left))
                    rows.append({"shift": shift, "t": t, **dict(zip(MEASURES, (value.item() for value in values)))})
                progress.update()
            images.append(np.stack(finals))
    facts = {"steps": steps, "guidance": guidance, "height": height, "width": width}
    with atomic_write(output) as temporary, h5py.File(temporary, "w") as file:
        file["images"], file["predictions"] = np.stack(images), np.stack(predictions)
        file["times"], file["shifts"], file["prompts"] = np.array(shown), np.array(shifts, float), list(prompts)
        file.attrs.update(facts | {"seed": seed, "source": str(source or ""), "followed_shift": float(followed)})
    cells = pd.DataFrame(rows).groupby(["shift", "t"], sort=False)
    table = cells[list(MEASURES)].mean().join(cells[list(MEASURES)].sem().add_suffix("_sem"))
    table.insert(0, "prompts", cells.size())
    with atomic_write(output_csv) as temporary:
        table.reset_index().to_csv(temporary, index=False)
    config = {"prompts": list(prompts), "shifts": list(shifts), **facts}
    write_provenance(output, config=config, seed=seed, source=source)
    write_provenance(output_csv, config=config, seed=seed, inputs=[output])


def _trajectory(pipeline, prompt, noise, grid, height, width, guidance):
    """Packed latents at t = 1, and {step start t: (x_t, velocity, t)} in float32, with our t and velocity."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    visited, starts = {}, iter(grid[:-1].tolist())

    def keep(_, __, inputs, output):
        t = next(starts)
        visited[t] = (inputs["hidden_states"].float(), -output[0].float(), t)

    pipeline.scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0, use_dynamic_shifting=False)
    hook = pipeline.transformer.register_forward_hook(keep, with_kwargs=True)
    try:
        latents = pipeline(
            prompt,
            height=height,
            width=width,
            num_inference_steps=len(grid) - 1,
            sigmas=(1 - grid[:-1]).tolist(),
            guidance_scale=guidance,
            latents=noise,
            output_type="latent",
            return_dict=False,
        )[0]
    finally:
        hook.remove()
    what = f"Flux's latents of the prompt {prompt!r} after {len(grid) - 1} steps"
    return finite(latents, what, "check its weights, or sample in bf16 or float32"), visited


def _packed_noise(pipeline, seed, index, height, width):
    channels = pipeline.transformer.config.in_channels // 4
    rows, columns = (2 * (side // (2 * pipeline.vae_scale_factor)) for side in (height, width))
    noise = sample_noise(seed, [index], (channels, rows, columns))
    packed = pipeline._pack_latents(noise, 1, channels, rows, columns)
    return packed.to(pipeline._execution_device, pipeline.transformer.dtype)


def _unpacked(pipeline, latents, height, width):
    """Latents (1, C, h, w) from packed latents."""
    return pipeline._unpack_latents(latents, height, width, pipeline.vae_scale_factor)


def _decode(pipeline, latents, height, width):
    """Image uint8 (H, W, 3) of packed latents, decoded as at the end of the pipeline's own call."""
    vae = pipeline.vae
    x = _unpacked(pipeline, latents, height, width)
    x = x / vae.config.scaling_factor + vae.config.shift_factor
    image = vae.decode(x.to(pipeline._execution_device, vae.dtype), return_dict=False)[0]
    finite(image, "an image that Flux's autoencoder decoded", "check its weights")
    image = pipeline.image_processor.postprocess(image.float(), output_type="np")[0]
    return (image * 255).round().astype(np.uint8)


def _nearest_starts(grid, times):
    """The step start nearest to each time, in order, without repeats; 1 stays 1."""
    starts = grid[:-1]
    found = [1.0 if time == 1 else starts[(starts - time).abs().argmin()].item() for time in times]
    return sorted(set(found))


def _checked_sides(pipeline, height, width):
    multiple = 2 * pipeline.vae_scale_factor
    for name, side in (("height", height), ("width", width)):
        if side < multiple or side % multiple:
            raise ValueError(f"{name} is {side}; expected a multiple of {multiple}")
    return height, width
