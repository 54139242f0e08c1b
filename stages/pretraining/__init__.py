"""Parts of `pretrain`. They import nothing that later work is likely to change, so that it does not retrain them."""
