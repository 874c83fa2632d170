"""PseudoLabels: selecting, moving, dropping."""

import dataclasses

import pytest
import torch

from ssod.detection import PseudoLabels


@pytest.fixture
def labels():
    bboxes = torch.tensor([[0.0, 0, 10, 20], [5, 5, 6, 40], [30, 30, 30, 50]])
    return PseudoLabels(bboxes, torch.tensor([2, 0, 1]), torch.tensor([0.9, 0.8, 0.7]))


def test_a_mask_or_indices_select_every_field(labels):
    labels = dataclasses.replace(
        labels.with_variance(torch.tensor([0.1, 0.2, 0.3])), foreground_scores=torch.tensor([0.95, 0.85, 0.75])
    )
    by_mask, by_index = labels[torch.tensor([True, False, True])], labels[torch.tensor([2, 0])]
    assert len(by_mask) == 2 and by_mask.labels.tolist() == [2, 1]
    assert by_mask.bboxes[1].tolist() == [30, 30, 30, 50]
    torch.testing.assert_close(by_mask.reg_variance, torch.tensor([0.1, 0.3]))
    torch.testing.assert_close(by_index.foreground_scores, torch.tensor([0.75, 0.95]))
    torch.testing.assert_close(by_index.scores, torch.tensor([0.7, 0.9]))


def test_what_is_not_known_is_not_selected(labels):
    first = labels[torch.tensor([0])]
    assert first.reg_variance is None and first.foreground_scores is None


def test_projecting_moves_the_boxes_and_keeps_the_rest(labels):
    matrix = torch.tensor([[1.0, 0, 100], [0, 1, 0], [0, 0, 1]])
    moved = labels.project(matrix, (35, 500, 3))
    assert moved.bboxes.tolist() == [[100, 0, 110, 20], [105, 5, 106, 35], [130, 30, 130, 35]]
    assert moved.labels is labels.labels and moved.scores is labels.scores
    assert labels.bboxes[0].tolist() == [0, 0, 10, 20]


@pytest.mark.parametrize('size, kept', [(0, [2, 0]), (1, [2]), (9.9, [2]), (10, [])])
def test_both_sides_must_exceed_the_smallest_size(labels, size, kept):
    assert labels.larger_than(size).labels.tolist() == kept


def test_no_labels_behave_like_some(labels):
    none = labels[torch.zeros(3, dtype=torch.bool)].with_variance(torch.zeros(0))
    assert len(none) == len(none.larger_than(0)) == len(none.project(torch.eye(3), (10, 10))) == 0
    assert none.bboxes.shape == (0, 4)


def test_labels_cannot_be_changed_in_place(labels):
    with pytest.raises(dataclasses.FrozenInstanceError):
        labels.scores = torch.zeros(3)


@dataclasses.dataclass(frozen=True)
class WithPoses(PseudoLabels):
    """Labels with a field that a task adds: a pose in the frame of each box."""

    poses: torch.Tensor | None = None


def test_a_field_that_a_task_adds_is_selected_with_the_boxes_and_stays_through_a_projection():
    labels = WithPoses(
        torch.tensor([[0.0, 0, 10, 10], [20, 20, 50, 40]]), torch.tensor([0, 1]), torch.ones(2), poses=torch.eye(2)
    )
    moved = labels.project(torch.diag(torch.tensor([2.0, 2, 1])), (100, 100)).larger_than(20)
    assert type(moved) is WithPoses and moved.bboxes.tolist() == [[40, 40, 100, 80]]
    assert moved.poses.tolist() == [[0, 1]] and moved.reg_variance is None
    assert moved[torch.zeros(1, dtype=torch.bool)].poses.shape == (0, 2)
