"""What a pretraining run will need: memory, time, money, and the loss it should reach."""
