import json
import math

from unimol2_tasks.training.loop_state import LoopState


def test_a_state_survives_json() -> None:
    for state in (LoopState(), LoopState(7, 0.25, 1.5, 5, 2, 3, 1, [{"step": 1, "train/loss": 2.0}])):
        assert LoopState.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False))) == state


def test_the_best_validation_is_the_lowest_and_the_rest_are_stale() -> None:
    state = LoopState()
    verdicts = []
    for step, loss in enumerate((3.0, 2.0, 2.5, 2.0, 1.0), start=1):
        state.step = step
        verdicts.append(state.judge(loss, loss))
    assert verdicts == [True, True, False, False, True]
    assert (state.best, state.best_step, state.stale) == (1.0, 5, 0)


def test_the_loss_decides_between_equally_good_validations() -> None:
    """Accuracy stands still while a network says no to everything, and the network learns all the same."""
    state = LoopState()
    verdicts = [state.judge(0.05, loss) for loss in (0.4, 0.3, 0.35, 0.2)]
    assert verdicts == [True, True, False, True]
    assert (state.best, state.best_loss, state.stale) == (0.05, 0.2, 0)
    assert not state.judge(0.06, 0.1)


def test_the_row_of_skipped_steps_ends_with_a_good_one_and_the_count_does_not() -> None:
    state = LoopState()
    for skipped in (True, True, False, True):
        state.count(skipped)
    assert (state.skipped, state.skipped_in_a_row) == (3, 1)
    assert math.isinf(state.best)
