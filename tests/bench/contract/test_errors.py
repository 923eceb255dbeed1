from bench.contract.errors import in_one_line


def test_what_keras_says_of_a_layer_is_one_line_without_colours_and_arguments() -> None:
    """As it words what a layer raises."""
    said = (
        "Exception encountered when calling GRU.call().\n\n\x1b[1m'tuple' object has no attribute "
        "'shape'\x1b[0m\n\nArguments received by GRU.call():\n  • sequences=torch.Tensor(...)"
    )
    assert in_one_line(AttributeError(said)) == (
        "Exception encountered when calling GRU.call(). 'tuple' object has no attribute 'shape'"
    )
