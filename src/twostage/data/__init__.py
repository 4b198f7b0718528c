"""From images to latents: data sets, encoders (autoencoders), and the store that every later stage reads."""
