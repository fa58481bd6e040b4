"""What Leafloop gives beside the usual way, measured in one run on one machine. `make bench-inference` runs it.

inference.py   the whole run: table, chart, JSON
    photos.py weights.py     what both sides are given: rendered photos, and one throw-away yolo11n
    ours.py usual.py         the two sides: Leafloop | Ultralytics, SAHI, supervision
    rounds.py                takes turns, so that a noisy minute is everybody's
    over_tiles.py peak.py    tiles a second, and how much of what the processor can do that is
    over_photos.py           a whole JPEG to its verdict, and where the time goes
    under_load.py load.py service.py   a real service, callers that do not wait for it, its memory
    seams.py mergings.py     how many lesions there are when the tiles' grid is moved, by each way of merging
    report.py chart.py machine.py      the table, the picture, on what it was measured
"""
