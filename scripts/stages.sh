# stages.sh: the stages that make a student, in the order they run, and before them the one that makes the decoder
# through which all of them are shown, exported and measured. Read by `. scripts/stages.sh`, in the Makefile too;
# whoever adds a stage adds it here (and its section in train/config/run_config.c).
decoder_stage=light_decoder
stages="teacher ode_init distill refine"
decoder_key() { echo "decoder=$1/$decoder_stage/decoder.safetensors"; } # decoder_key RUN: the key that names it
