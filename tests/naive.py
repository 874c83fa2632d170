"""Parts of the method written out in loops, and a step without its labeled images."""

import torch

from ssod.core import in_order_of
from ssod.detection import PseudoLabels
from ssod.detection.heads.fitness import as_list


def learn(model, weak, strong):
    """Acts 2 to 4 of a step: losses and figures of the unlabeled images."""
    found = model.find_pseudo_labels(in_order_of(weak, strong['img_metas']))
    labels = model.project_pseudo_labels(found, strong)
    return model.unsupervised_losses(strong, labels), model.figures(labels)


def projected(box, matrix, hw):
    """One box through a 3x3 matrix: hull of the four corners, clipped."""
    corners = torch.tensor([[x, y, 1.0] for x in box[0::2] for y in box[1::2]]).double() @ matrix.double().T
    points = corners[:, :2] / corners[:, 2:]
    low, high = points.min(0).values, points.max(0).values
    limit = torch.tensor([hw[1], hw[0]])
    return torch.cat([low.clamp(min=0).minimum(limit), high.clamp(min=0).minimum(limit)]).float()


def matrix_between(source, target):
    source, target = (torch.tensor(meta['transform_matrix']).double() for meta in (source, target))
    return target @ torch.linalg.inv(source)


def naive_variance(teacher, feats, metas, bboxes, labels, jitter):
    """Box by box: the jittered copies through the host's own RoI head, std over mean refined size."""
    num, scale = jitter.num_jitters, jitter.jitter_scale
    copies = []
    for boxes in bboxes:
        shape = (num, len(boxes), 4)
        noise = torch.randn(shape) if jitter.distribution == 'normal' else 2 * torch.rand(shape) - 1
        for i, box in enumerate(boxes):
            w, h = max(box[2] - box[0], 1), max(box[3] - box[1], 1)
            noise[:, i] = box + noise[:, i] * scale * torch.tensor([w, h, w, h])
        copies.append(noise)
    decoded, _ = teacher.roi_head.simple_test_bboxes(feats, metas, [c.reshape(-1, 4) for c in copies], None)
    result = []
    for boxes, refined, classes in zip(bboxes, decoded, labels, strict=True):
        spreads = []
        for i, label in enumerate(classes):
            own = torch.stack([refined[k * len(boxes) + i, 4 * label : 4 * label + 4] for k in range(num)])
            mean = own.mean(0)
            if jitter.relative_to == 'refined':
                w, h = max(mean[2] - mean[0], 1), max(mean[3] - mean[1], 1)
            else:
                w = h = 0.5 * (boxes[i][2] - boxes[i][0] + boxes[i][3] - boxes[i][1])
            deviation = ((own - mean) ** 2).sum(0).div(num - 1).sqrt()
            spreads.append((deviation / torch.tensor([w, h, w, h])).mean())
        result.append(torch.stack(spreads) if spreads else torch.zeros(0))
    return result


def set_candidates(model, monkeypatch, candidates):
    """Let the teacher see these boxes, whatever the image."""
    monkeypatch.setattr(model, '_detect', lambda *args: (candidates, torch.tensor(0.9)))


def total(losses):
    return sum(value for name, value in losses.items() if 'loss' in name)


def true_labels(batch, size=12):
    """The labeled images' own boxes as the pseudo boxes of every branch, with masks of their own."""
    generator, own = torch.Generator().manual_seed(7), []
    for boxes, classes in zip(batch['gt_bboxes'], batch['gt_labels'], strict=True):
        labels = PseudoLabels(boxes, classes, torch.ones(len(boxes)))
        own.append(labels.with_masks(torch.rand(len(boxes), size, size, generator=generator)))
    return own


def teach_the_same_masks(model, labels, monkeypatch):
    """Let MMDetection's training cut its targets out of the pseudo labels' masks, as a person would by hand."""

    def get_targets(samples, gt_masks, cfg):
        targets = []
        for sample, own in zip(samples, labels, strict=True):
            for box, index in zip(sample.pos_bboxes, sample.pos_assigned_gt_inds, strict=True):
                targets.append(naive_target(own, int(index), box, torch.eye(3), (12, 12)) >= 0.5)
        return torch.stack(targets).float() if targets else torch.zeros(0, 12, 12)

    for head in as_list(model.student.roi_head.mask_head):
        monkeypatch.setattr(head, 'get_targets', get_targets)


def naive_target(labels, index, box, to_teacher, size):
    """Cell by cell: its center in the teacher's view, and the bilinear value of the mask there, 0 outside."""
    mask, frame = labels.masks[index], labels.mask_boxes[index]
    target = torch.zeros(size)
    for row in range(size[0]):
        for column in range(size[1]):
            x = box[0] + (column + 0.5) / size[1] * (box[2] - box[0])
            y = box[1] + (row + 0.5) / size[0] * (box[3] - box[1])
            point = to_teacher.float() @ torch.stack([x, y, torch.tensor(1.0)])
            u = (point[0] / point[2] - frame[0]) / (frame[2] - frame[0]) * mask.shape[1] - 0.5
            v = (point[1] / point[2] - frame[1]) / (frame[3] - frame[1]) * mask.shape[0] - 0.5
            left, top = int(u.floor()), int(v.floor())
            for i, j in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                if 0 <= i < mask.shape[0] and 0 <= j < mask.shape[1]:
                    target[row, column] += mask[i, j] * (1 - (v - i).abs()) * (1 - (u - j).abs())
    return target
