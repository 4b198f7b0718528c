"""A tiny random Flux pipeline of the true classes."""

import torch


def save_tiny_flux(path):
    """Save a FluxPipeline of a few thousand random weights, as diffusers saves one; images of 16 x 16 pixels do."""
    import transformers
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    torch.manual_seed(0)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    clip_vocab = {word: number for number, word in enumerate(["<|startoftext|>", "<|endoftext|>", *letters])}
    clip_vocab |= {f"{letter}</w>": len(clip_vocab) + number for number, letter in enumerate(letters)}
    t5_vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -1.0), ("▁", -2.0), *((letter, -3.0) for letter in letters)]
    clip = transformers.CLIPTextConfig(
        vocab_size=len(clip_vocab),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=77,
        projection_dim=16,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    t5 = transformers.T5Config(
        vocab_size=len(t5_vocab) + 100, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            layers_per_block=1,
            latent_channels=2,
            norm_num_groups=4,
            scaling_factor=1.5,
            shift_factor=0.1,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        text_encoder=transformers.CLIPTextModel(clip),
        tokenizer=transformers.CLIPTokenizer(vocab=clip_vocab, merges=[], model_max_length=77),
        text_encoder_2=transformers.T5EncoderModel(t5),
        tokenizer_2=transformers.T5TokenizerFast(vocab=t5_vocab),
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=8,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            guidance_embeds=True,
            axes_dims_rope=(2, 2, 4),
        ),
    )
    pipeline.save_pretrained(path)
