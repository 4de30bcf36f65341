"""Makes metrics.json: CIDEr-D scores from pycocoevalcap (pip install pycocoevalcap numpy) on captions
of plain words. All tokenizers agree on them, so only the metric itself is compared."""
import json
import pathlib
import random

from pycocoevalcap.cider.cider import Cider

random.seed(1)
WORDS = "a red blue small large circle square cross ring on top of the bottom left right and two".split()


def caption():
    return " ".join(random.choice(WORDS) for _ in range(random.randint(0, 14)))


references = [[caption() or "a ring" for _ in range(random.randint(1, 5))] for _ in range(12)]
captions = [random.choice(refs) if i % 3 == 0 else caption() for i, refs in enumerate(references)]
captions[4] = ""
_, scores = Cider().compute_score({i: r for i, r in enumerate(references)},
                                  {i: [c] for i, c in enumerate(captions)})
path = pathlib.Path(__file__).with_name("metrics.json")
path.write_text(json.dumps({"captions": captions, "references": references, "cider_d": list(scores)}, indent=1))
