"""The four formats that are taken, one module each, all with the same three functions and knowing nothing of limits.

    read_size(data) -> (width, height)   as stored, from the header: no pixel is decoded
    keep(data) -> bytes                  the same picture without anything but picture, orientation and colour profile
    decode(data) -> Pixels               upright, sRGB, [H, W, 3]

HEIC has no `decode`: it is turned once into one of the others (`keep`), and answers are computed from that.
"""
