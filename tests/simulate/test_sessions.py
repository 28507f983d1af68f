import itertools

from bench.simulate.sessions import session

DAY = 28_800.0


def test_the_same_seed_draws_the_same_session():
    assert session(1, 7, DAY) == session(1, 7, DAY)


def test_another_seed_and_another_number_draw_another():
    assert session(1, 7, DAY) != session(2, 7, DAY)
    assert session(1, 7, DAY) != session(1, 8, DAY)


def test_a_prompt_grows_by_more_than_what_was_answered_until_it_is_compacted():
    for number in range(50):
        asked = [it for it in session(1, number, DAY).requests if it.lifetime]
        for before, after in itertools.pairwise(asked):
            same = before.own[0] == after.own[0]

            assert same == (after.own[1] >= before.own[1] + before.output)


def test_every_request_has_a_name_of_its_own():
    names = []
    for number in range(50):
        for request in session(1, number, DAY).requests:
            names += [request.key, *(it.key for agent in request.agents for it in agent)]

    assert len(names) == len(set(names))


def test_sessions_hold_what_makes_caching_hard():
    requests = [it for number in range(200) for it in session(1, number, DAY).requests]

    assert any(it.agents for it in requests)
    assert {0.0, 300.0, 3600.0} == {it.lifetime for it in requests}
    assert any(it.pause > 300 for it in requests)
