"""`python -m accel_sim`: what a machine makes of a mask."""

from accel_sim.commands.run import main

if __name__ == "__main__":
    main()
