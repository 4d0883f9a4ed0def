"""Write the schemas: python -m accel_sim.schemas."""

from accel_sim.schemas.files import SCHEMAS, path_of
from sparse_formats.files.atomic import json_text, write_text

if __name__ == "__main__":
    for name, schema in SCHEMAS.items():
        write_text(path_of(name), json_text(schema()))
