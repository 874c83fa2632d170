import numpy as np
import pytest
import torch
from runs import BASELINE, SOFT_TEACHER, class_names, shapes, small, trained_baseline

from ssod.apis import InputError, detect, init_detector, load_config


def settings(options):
    return {'test_scale': (96, 96), 'data_root': f'{shapes()}/'}


def test_student_and_teacher_detect(checkpoint):
    image = str(shapes() / 'images/val/000001.jpg')
    results = {}
    for name in (None, 'student', 'teacher'):
        model = init_detector(load_config(SOFT_TEACHER, settings(small())), str(checkpoint), predict_on=name)
        assert not model.training and model.predict_on == (name or 'student')
        results[name] = detect(model, image)
        assert len(results[name]) == len(class_names()) and all(boxes.shape[1] == 5 for boxes in results[name])
    np.testing.assert_array_equal(np.concatenate(results[None]), np.concatenate(results['student']))
    assert not np.array_equal(np.concatenate(results['student']), np.concatenate(results['teacher']))


def test_refusals(checkpoint, tmp_path):
    cfg = load_config(BASELINE, settings(small()))
    baseline = str(trained_baseline() / 'iter_2.pth')
    with pytest.raises(InputError, match='FasterRCNN has no teacher'):
        init_detector(cfg, baseline, predict_on='teacher')
    with pytest.raises(InputError, match='no checkpoint'):
        init_detector(cfg, str(tmp_path / 'no.pth'))
    (tmp_path / 'text.pth').write_text('text')
    with pytest.raises(InputError, match='cannot load the checkpoint'):
        init_detector(cfg, str(tmp_path / 'text.pth'))
    model = init_detector(cfg, baseline)
    (tmp_path / 'broken.jpg').write_text('text')
    for image in ('no.jpg', 'broken.jpg'):
        with pytest.raises(InputError, match=f'the image .*{image} (does not exist|is no image that OpenCV can read)'):
            detect(model, str(tmp_path / image))


def test_a_plain_checkpoint_fills_student_and_teacher():
    cfg = load_config(SOFT_TEACHER, settings(small()))
    model = init_detector(cfg, str(trained_baseline() / 'iter_2.pth'))
    student, teacher = model.student.state_dict(), model.teacher.state_dict()
    assert all(torch.equal(student[name], teacher[name]) for name in student)
