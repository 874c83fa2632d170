"""Videos: frames come by number, what is written can be read, what is broken is named."""

import cv2
import numpy as np
import pytest

from ssod.core.errors import InputError
from ssod.data.videos import frames_of, open_video, writing_video

SHADES = range(20, 240, 20)  # of 11 frames


def clip(path, codec='MJPG', size=(64, 48), fps=10.0):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, size)
    for shade in SHADES:
        writer.write(np.full((size[1], size[0], 3), shade, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize('name, codec', [('a.avi', 'MJPG'), ('a.mp4', 'mp4v'), ('A.MKV', 'XVID'), ('a.webm', 'VP80')])
@pytest.mark.parametrize('every', [1, 4, 50])
def test_frames_come_by_number(tmp_path, name, codec, every):
    video = open_video(clip(tmp_path / name, codec))
    assert (video.fps, video.frames) == (10, 11)
    found = list(frames_of(video, every))
    assert [number for number, _ in found] == list(range(0, 11, every))
    for number, frame in found:
        assert frame.shape == (48, 64, 3) and abs(frame.mean() - SHADES[number]) < 4


def test_what_is_written_can_be_read_and_is_there_at_the_end_alone(tmp_path):
    path = tmp_path / 'new/out.mp4'
    with writing_video(path, 5.0) as add:
        for shade in SHADES:
            add(np.full((49, 65, 3), shade, np.uint8))  # odd sides
        assert not path.exists()
    video = open_video(path)
    assert (video.fps, video.frames) == (5, 11)
    frames = [frame for _, frame in frames_of(video)]
    assert frames[0].shape == (48, 64, 3)
    assert [round(float(frame.mean()) / 20) for frame in frames] == list(range(1, 12))
    with pytest.raises(ZeroDivisionError), writing_video(path, 5.0) as add:
        add(frames[0])
        _ = 1 / 0
    assert open_video(path).frames == 11 and list(path.parent.iterdir()) == [path]  # as it was


def test_broken_videos_are_named(tmp_path):
    whole = clip(tmp_path / 'whole.mp4', 'mp4v').read_bytes()
    contents = {'cut.mp4': whole[: len(whole) // 2], 'text.mp4': b'text', 'empty.avi': b''}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in (*contents, 'nowhere.mp4'):
        with pytest.raises(InputError) as error:
            open_video(tmp_path / name)
        assert str(error.value).startswith(f'{tmp_path / name} is no video that OpenCV can read: replace it')
