"""What teachers say of training examples, computed or read."""
