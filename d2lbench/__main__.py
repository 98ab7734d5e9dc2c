"""`python -m d2lbench`: the command line."""

from d2lbench.entry import main

if __name__ == "__main__":
    main()
