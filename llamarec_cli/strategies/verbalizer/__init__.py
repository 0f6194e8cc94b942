"""Strategy *verbalizer*, the paper's: logits of the candidates' index letters, with a LoRA adapter trained for them."""
