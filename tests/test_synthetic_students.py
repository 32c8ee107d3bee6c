"""Faces of nobody: found by our detector, read as they are meant, and different from each other."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from bot.clips import FRAMES_PER_SECOND, Clip, encode
from bot.scripts import Script
from bot.synthetic.acting import MOST_PEOPLE
from bot.synthetic.motion import PERIOD_SECONDS, Motion
from bot.synthetic.parts import Part
from bot.synthetic.people import person
from bot.synthetic.performance import Performance
from bot.synthetic.pictures import SIZE, Webcam
from bot.synthetic.studio import Mien, Scene, Studio, feeling, following, shares, studio
from model.card import CARD_FILE, SHIPPED_WEIGHTS
from model.classifier import LiteRtClassifier
from model.crop import crop_face
from model.detector import BlazeFace
from model.errors import ModelUnusable
from model.faces import EMOTIONS, Emotion, Image
from model.generated_faces import FaceGenerator

WEIGHTS = SHIPPED_WEIGHTS / "students"
MIENS: list[Mien] = [(emotion, 1.0) for emotion in EMOTIONS]
FEW, ALL = (0, 5, 13), range(MOST_PEOPLE)


@cache
def generator() -> FaceGenerator:
    return FaceGenerator()


def received(clip: Clip) -> Iterator[Image]:
    """The pictures as a room would see them, after the codec."""
    decoder = av.CodecContext.create("vp8", "r")
    for packet in clip.packets:
        for frame in decoder.decode(av.Packet(packet)):  # type: ignore[attr-defined]
            yield frame.to_ndarray(format="rgb24")


def looked_at(people: Iterator[int] | range | tuple[int, ...], every: int) -> tuple[float, float, dict[str, float]]:
    """The share of frames with exactly one face, and the share of those read as what is felt, overall and by emotion."""
    detector, classifier = BlazeFace(), LiteRtClassifier()
    found: list[bool] = []
    agreed: dict[str, list[bool]] = {emotion: [] for emotion in EMOTIONS}
    for number in people:
        webcam = Webcam(person(number), generator())
        for place, mien in enumerate(MIENS):
            times = [at / FRAMES_PER_SECOND for at in range(0, PERIOD_SECONDS * FRAMES_PER_SECOND, every)]
            for picture in received(encode(webcam.picture(shares(mien), at) for at in times)):
                faces = detector.detect(picture)
                found.append(len(faces) == 1)
                if faces:
                    scores = classifier.classify(crop_face(picture, faces[0], classifier.size)[None])[0]
                    agreed[mien[0]].append(bool(scores.argmax() == place))
    every_look = [look for looks in agreed.values() for look in looks]
    return float(np.mean(found)), float(np.mean(every_look)), {name: float(np.mean(looks)) for name, looks in agreed.items()}


def test_the_detector_finds_them_and_the_classifier_reads_what_they_feel() -> None:
    found, agreed, _ = looked_at(FEW, every=20)
    assert found >= 0.95 and agreed >= 0.75


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_so_it_is_of_everybody_who_can_be_in_a_class() -> None:
    found, agreed, by_emotion = looked_at(ALL, every=4)
    assert found >= 0.95, found
    assert agreed >= 0.75, by_emotion
    assert min(by_emotion.values()) >= 0.5, by_emotion


@pytest.mark.slow
def test_different_people_differ_more_than_one_person_does_over_the_emotions() -> None:
    webcams = [Webcam(person(number), generator()) for number in range(6)]
    faces = np.array([[generator().draw(each.identity, shares(mien)) for mien in MIENS] for each in webcams]).astype(float)
    between = [np.abs(a - b).mean() for a, b in combinations(faces.mean(axis=1), 2)]
    within = [np.abs(face - own.mean(axis=0)).mean() for own in faces for face in own]
    assert min(between) > np.mean(within)


def test_neighbours_look_different_at_a_glance_and_everybody_always_the_same() -> None:
    people = [person(number) for number in range(MOST_PEOPLE)]
    assert all(one.skin != other.skin and one.hair != other.hair for one, other in pairwise(people))
    assert len({(each.skin, each.hair) for each in people}) == MOST_PEOPLE
    assert person(7) == person(7)
    one, again = (Webcam(person(7), generator()).picture(shares(MIENS[3]), 1.0) for _ in range(2))
    assert one.shape == (SIZE[1], SIZE[0], 3) and np.array_equal(one, again)


def test_a_head_moves_and_blinks_in_a_cycle_that_closes() -> None:
    motion = Motion(person(3))
    poses = [motion.pose(at / 20) for at in range(20 * PERIOD_SECONDS)]
    assert motion.pose(0.25) == motion.pose(0.25 + PERIOD_SECONDS)
    assert np.ptp([pose.across for pose in poses]) > 1 and np.ptp([pose.turn for pose in poses]) > 1
    assert 0 < sum(pose.lids > 0 for pose in poses) < len(poses) / 5


def test_a_face_goes_from_one_expression_to_the_other_by_and_by() -> None:
    scene = Scene(0, (Emotion.NEUTRAL, 1.0), (Emotion.HAPPY, 0.8), 0)
    shown = [feeling(scene, at / 10) for at in range(10)]
    happy = [float(share[EMOTIONS.index(Emotion.HAPPY)]) for share in shown]
    assert happy[0] == 0 and happy[-1] == pytest.approx(0.8) and happy == sorted(happy)
    assert all(float(share.sum()) == pytest.approx(1) for share in shown)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WEIGHTS, tmp_path / "students"))


def test_weights_that_are_not_those_of_the_card_are_refused(folder: Path) -> None:
    (file,) = folder.glob("*.tflite")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelUnusable, match="is not the file that its card describes"):
        FaceGenerator(folder)


def test_a_card_of_another_shape_is_refused(folder: Path) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps(card | {"identity": card["identity"] + 1}))
    with pytest.raises(ModelUnusable, match="does not draw the faces that its card tells of"):
        FaceGenerator(folder)


def test_the_weights_are_small_and_what_they_draw_is_nobody_who_was_trained_on() -> None:
    card = generator().card
    assert (WEIGHTS / card.file).stat().st_size <= 4_000_000
    figures = card.figures
    # no generated face comes as near to a training face as the data set's own near copies do
    assert figures["closest_training_face"] >= 8  # type: ignore[operator]
    assert figures["nearest_training_face"] >= 0.9 * figures["training_face_to_nearest_other"]  # type: ignore[operator]


def glad_from(at_seconds: float) -> Part:
    steps = [{"at_seconds": at_seconds, "feel": "happy"}]
    return Part(Script.model_validate({"students": 1, "duration_seconds": 600, "steps": steps}), 0, 1)


async def seconds_of(performance: Performance, count: int, place: Studio) -> list[Mien]:
    """Play so many seconds, each once everything ordered has been drawn; returns what was felt at the end of each."""
    felt = []
    for second in range(count):
        packets = [await performance.packet(second * FRAMES_PER_SECOND + frame) for frame in range(FRAMES_PER_SECOND)]
        assert not packets[0][0] & 1  # a keyframe (RFC 6386, section 9.1)
        felt.append(performance.mien)
        while place.busy:
            await asyncio.sleep(0.01)
    return felt


@pytest.mark.slow
async def test_a_performance_shows_what_the_script_wants_when_it_wants_it() -> None:
    async with studio() as place:
        performance = Performance(place, 0, glad_from(2.0), 0.0, clock=lambda: 0.0)
        felt = await seconds_of(performance, 4, place)
    assert [emotion for emotion, _ in felt] == [Emotion.NEUTRAL, Emotion.NEUTRAL, Emotion.HAPPY, Emotion.HAPPY]
    assert place.late == 0


@pytest.mark.slow
async def test_what_is_not_drawn_in_time_comes_late_and_the_face_goes_on_meanwhile() -> None:
    async with studio() as place:
        performance = Performance(place, 0, glad_from(0.9), 0.0, clock=lambda: 0.0)
        packets = [await performance.packet(number) for number in range(3 * FRAMES_PER_SECOND)]  # faster than anybody can draw
        assert packets[:10] == packets[10:20] == packets[20:] and place.late == 2
        while place.busy:
            await asyncio.sleep(0.01)
        await performance.packet(3 * FRAMES_PER_SECOND)
        assert performance.mien == (Emotion.HAPPY, 1.0)


async def test_a_scene_is_drawn_once_however_many_ask_for_it_and_orders_have_a_bound() -> None:
    async with studio(most_orders=2) as place:
        scene = Scene(0, MIENS[6], MIENS[6], 0)
        one, other = await asyncio.gather(place.scene(scene), place.scene(scene))
        assert one is other and not place.busy
        coming = scene
        for _ in range(4):
            coming = following(coming, MIENS[3])
            place.order(coming, 0.0)
        assert place.refused > 0


def test_nothing_of_a_face_but_grey_levels_comes_out_of_the_generator() -> None:
    face = generator().draw(generator().identity(np.random.default_rng(1)), shares(MIENS[3]))
    assert face.shape == (48, 48) and face.dtype == np.uint8
    assert cv2.Laplacian(face, cv2.CV_64F).std() > 3  # a face, not a blur
