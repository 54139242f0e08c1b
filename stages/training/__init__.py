"""Parts of `train`: what is read, how it is transformed, how one network is fitted."""
