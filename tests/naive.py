"""Parts of the method written out in loops, and a step without its labeled images."""

import torch

from ssod.core import in_order_of


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
