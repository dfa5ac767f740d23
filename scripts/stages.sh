# stages.sh: the stages that make a student, in the order they run. Read by `. scripts/stages.sh`, in the Makefile too;
# whoever adds a stage adds it here (and its section in train/config/run_config.c).
stages="teacher ode_init distill refine"
