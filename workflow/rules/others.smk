# Every rule once more per replicate, as a module, in one DAG with this run's.
for number, other in enumerate(OTHERS, 1):
    others_name, prefix = f"replicate{number}", f"replicate{number}_"

    module:
        name: others_name
        snakefile:
            "../../Snakefile"
        config:
            other | {"x-replicate": True}

    # What belongs to no run, such as fetched weights, has one rule (`estimate` counts what is fetched once).
    use rule * from others_name exclude fetch_weights, fetch_images, fetch_flux, estimate, limits, picture, pictures, replicates as prefix*
