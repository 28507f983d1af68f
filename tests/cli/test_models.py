"""`llmroute models`: what clients may ask for."""


def test_names_are_listed_with_what_is_known_of_them(invoke, config_file):
    done = invoke("models", "--config", config_file())

    assert 0 == done.exit_code
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "model display name window deployments" == lines[0]
    assert "claude-haiku-4-5 Claude Haiku 4.5 200,000 main" in lines
    assert "fast Claude Haiku 4.5 200,000 small, main" in lines


def test_a_pattern_is_listed_too(invoke, config_file):
    done = invoke("models", "--config", config_file())

    assert "claude-* any other name of this form main" == " ".join(
        done.stdout.splitlines()[-1].split()
    )
