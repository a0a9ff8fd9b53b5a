"""Office-Home as published features: 65 kinds of things in art, clip art, product pictures and photographs."""

from functools import partial
from pathlib import Path

import numpy as np

from datasets.domains.base import Domain, pairs_among
from datasets.errors import reading
from datasets.files.originals import Original
from datasets.files.prepared import Arrays

CLASSES = (
    *("Alarm_Clock", "Backpack", "Batteries", "Bed", "Bike", "Bottle", "Bucket", "Calculator", "Calendar", "Candles"),
    *("Chair", "Clipboards", "Computer", "Couch", "Curtains", "Desk_Lamp", "Drill", "Eraser", "Exit_Sign", "Fan"),
    *("File_Cabinet", "Flipflops", "Flowers", "Folder", "Fork", "Glasses", "Hammer", "Helmet", "Kettle", "Keyboard"),
    *("Knives", "Lamp_Shade", "Laptop", "Marker", "Monitor", "Mop", "Mouse", "Mug", "Notebook", "Oven", "Pan"),
    *("Paper_Clip", "Pen", "Pencil", "Postit_Notes", "Printer", "Push_Pin", "Radio", "Refrigerator", "Ruler"),
    *("Scissors", "Screwdriver", "Shelf", "Sink", "Sneakers", "Soda", "Speaker", "Spoon", "TV", "Table", "Telephone"),
    *("ToothBrush", "Toys", "Trash_Can", "Webcam"),
)
COUNTS = {"art": 2_427, "clipart": 4_365, "product": 4_439, "realworld": 4_357}
FEATURES = 2_048
TABLE = Original(
    path="office_home/OfficeHomeResnet50.csv",
    urls=(
        "https://figshare.com/ndownloader/files/46093947",
        "https://ndownloader.figshare.com/files/46093947",
    ),
    checksum="sha256:be46195bd8737e997ade333341a6c943139f974211bbbf726d760c990124f749",
    kind="zip",
    member="OfficeHomeResnet50.csv",
)


def build_office_home(root: Path, part: str) -> Arrays:
    """Office-Home as the 2,048 features of a ResNet-50 that was trained on ImageNet.

    There is no test split: the usual protocol trains on all labelled source and all unlabelled target samples and
    measures on the same target samples. Labels that are numbers count the classes in the order of their names.

    Source: the table that the skada project passes on: features, then label and domain, a row for each image
    Licence: research use
    Citation: Venkateswara, Eusebio, Chakraborty and Panchanathan, "Deep Hashing Network for Unsupervised Domain
        Adaptation", CVPR (2017)
    """
    import pandas

    path = root / TABLE.path
    with reading(path):
        table = pandas.read_csv(path)
        rows = table[table.iloc[:, -1].str.lower() == part]
        labels = rows.iloc[:, -2]
        numbers = labels if labels.dtype.kind == "i" else labels.map(CLASSES.index)
        return {
            "train_inputs": np.ascontiguousarray(rows.iloc[:, :-2], np.float32),
            "train_labels": numbers.to_numpy(np.int64),
        }


DOMAINS = tuple(
    Domain(
        name=f"office_home_{part}_resnet50",
        title=f"Office-Home {part} (ResNet-50)",
        class_names=CLASSES,
        shape=(FEATURES,),
        counts=(count, 0),
        build=partial(build_office_home, part=part),
        originals=(TABLE,),
    )
    for part, count in COUNTS.items()
)
PAIRS = pairs_among(domain.name for domain in DOMAINS)
