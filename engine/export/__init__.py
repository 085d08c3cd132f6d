"""A finished student as ONNX: float32 and int8, what each reaches and how fast, and a program that needs no torch."""
