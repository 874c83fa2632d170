"""Video files, read and written through OpenCV."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ssod.core.errors import InputError
from ssod.core.files import replacing

VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv')
CODEC = 'mp4v'  # MPEG-4: what OpenCV's wheels can write


@dataclass(frozen=True)
class Video:
    """A file whose first frame can be read.

    Attributes:
        path: of the file.
        fps: frames per second; 25 where the file does not say.
        frames: how many the file says it has; None where it does not.
    """

    path: Path
    fps: float
    frames: int | None


def is_video(path: Path) -> bool:
    """Whether the file has the ending of a video, in upper or lower case."""
    return path.suffix.lower() in VIDEOS


def open_video(path: Path) -> Video:
    """Look into a video.

    Raises:
        InputError: OpenCV reads no frame of it.
    """
    with capturing(path) as capture:
        if not capture.read()[0]:
            raise InputError(f'{path} is no video that OpenCV can read: replace it, or convert it to .mp4')
        fps, frames = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return Video(path, fps if 0 < fps < 1000 else 25.0, frames if frames > 0 else None)


def frames_of(video: Video, every: int = 1) -> Iterator[tuple[int, np.ndarray]]:
    """Number, from 0, and (H, W, 3) uint8 BGR of each frame, or of every so many, the first among them."""
    with capturing(video.path) as capture:
        for number in itertools.count():
            if not capture.grab():
                return
            if number % every:
                continue
            done, frame = capture.retrieve()
            if not done:
                return
            yield number, frame


@contextmanager
def capturing(path: Path) -> Iterator[cv2.VideoCapture]:
    """OpenCV's reader, closed at the end; what OpenCV and FFmpeg print of a broken file is said in a sentence."""
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')  # FFmpeg reads it once
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    finally:
        cv2.utils.logging.setLogLevel(level)
    try:
        yield capture
    finally:
        capture.release()


@contextmanager
def writing_video(path: Path, fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that adds a frame, (H, W, 3) uint8 BGR, to a video; the file is there when the block has ended.

    The first frame says the size; an odd row or column at its end is left out, as MPEG-4 has none.

    Raises:
        InputError: it cannot be written.
    """
    with replacing(path) as temporary:
        writer = cv2.VideoWriter()

        def add(frame: np.ndarray) -> None:
            height, width = (side // 2 * 2 for side in frame.shape[:2])
            if not writer.isOpened():
                code = cv2.VideoWriter_fourcc(*CODEC)
                if not writer.open(str(temporary), cv2.CAP_FFMPEG, code, fps, (width, height)):
                    raise InputError(f'OpenCV cannot write the video {path}: choose another --out')
            writer.write(np.ascontiguousarray(frame[:height, :width]))

        try:
            yield add
        finally:
            writer.release()
