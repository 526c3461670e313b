"""``python -m mllm_protector`` is the command ``mllm-protector``."""

from mllm_protector.cli import main

if __name__ == "__main__":
    main()
