"""How much a defence withstands: fine-tuning on harmful answers, and what is answered after it."""
