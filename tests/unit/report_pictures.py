"""What is wrong with a picture: texts that overlap, that are cut or lie on another panel, and legends over curves."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from twostage.report.figures import style

DPI = 100  # that of the README's pictures
SLACK = 1.5  # pixels by which boxes may touch: extents are whole pixels


def faults(picture):
    """What a reader would stumble over in a figure, as sentences (list of str); empty where there is nothing.

    Every text that is drawn, every legend, line, marker, bar and image is looked at where it lies on the canvas.
    """
    picture.set_dpi(DPI)
    with style.look():
        texts, renderer = _drawn_texts(picture)
    places = np.array([text.get_window_extent(renderer).extents for text in texts])
    found = [f"{_name(text)} is cut by the edge" for text, box in zip(texts, places) if not _inside(box, picture.bbox)]
    pairs = np.argwhere(np.triu(_overlaps(places, places), 1))
    found += [f"{_name(texts[one])} overlaps {_name(texts[two])}" for one, two in pairs]
    panels = [axes for axes in picture.axes if axes.get_visible()]
    for axes in panels:
        over = _overlaps(places, axes.get_window_extent(renderer).extents[None])[:, 0]
        others = [text for text, lies in zip(texts, over) if lies and (text.axes is not axes or axes.images)]
        found += [f"{_name(text)} lies on another panel" for text in others]
    legends = picture.findobj(Legend)
    for legend in legends:
        frame = legend.get_window_extent(renderer)
        if not _inside(frame.extents, picture.bbox):
            found.append(f"the legend of {_names(legend)} is cut by the edge")
        found += [f"the legend of {_names(legend)} covers {what}" for axes in panels for what in _covered(axes, frame)]
    return found


def _drawn_texts(picture):
    """The texts that a drawing of the figure draws (ticks outside the limits are none), and the renderer."""
    texts, draw = {}, Text.draw

    def recorded(text, renderer, *arguments, **options):
        if text.get_visible() and text.get_text().strip():
            texts[text] = None
        return draw(text, renderer, *arguments, **options)

    canvas = FigureCanvasAgg(picture)
    Text.draw = recorded
    try:
        picture.draw_without_rendering()
    finally:
        Text.draw = draw
    return list(texts), canvas.get_renderer()


def _covered(axes, frame):
    """What of the panel's curves, markers and bars lies under a frame, as words."""
    panel = axes.get_window_extent()
    shown = Bbox.intersection(panel, frame)
    if shown is None or shown.width <= SLACK or shown.height <= SLACK:
        return
    for line in axes.lines:
        path = line.get_transform().transform_path(line.get_path())
        if len(path.vertices) and line.get_visible():
            if line.get_linestyle() not in ("None", "") and path.intersects_bbox(shown, filled=False):
                yield f"the curve {line.get_label()}"
            elif any(shown.contains(*point) for point in path.vertices[np.isfinite(path.vertices).all(1)]):
                yield f"a point of {line.get_label()}"
    for patch in axes.patches:
        if patch.get_visible() and patch.get_window_extent().overlaps(shown):
            yield f"the bar {patch.get_label()}"


def _overlaps(first, second):
    """Whether boxes (n, 4) and (m, 4), as left, bottom, right and top, overlap: bool (n, m)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    return (high - low > SLACK).all(-1)


def _inside(box, whole):
    left, bottom, right, top = box
    return (
        left >= whole.x0 - SLACK
        and bottom >= whole.y0 - SLACK
        and right <= whole.x1 + SLACK
        and top <= whole.y1 + SLACK
    )


def _name(text):
    return repr(text.get_text()[:60])


def _names(legend):
    return ", ".join(_name(text) for text in legend.get_texts()[:2])
