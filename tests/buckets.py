"""A Google Cloud Storage of our own, in this process, that gcsfs and TensorStore talk to."""

import contextlib
import logging
import os
import socket
from unittest import mock

# Read when gcsfs is imported, which would ask Google what kind each bucket is.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"

from gcp_storage_emulator import server
from gcp_storage_emulator.handlers import objects


@contextlib.contextmanager
def emulated(bucket):
    """A storage with one empty bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    settings = {"STORAGE_EMULATOR_HOST": address, "TENSORSTORE_GCS_HTTP_URL": address}
    logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
    with (
        mock.patch.dict(os.environ, settings),
        mock.patch.object(objects, "download", _with_generation(objects.download)),
        mock.patch("socketserver.BaseServer.handle_error"),  # TensorStore hangs up early
    ):
        storage = server.create_server("127.0.0.1", port, in_memory=True, default_bucket=bucket)
        storage.start()
        try:
            yield
        finally:
            storage.stop()


def _with_generation(download):
    """The emulator leaves out a header that TensorStore needs."""

    def handler(request, response, storage, *args, **kwargs):
        download(request, response, storage, *args, **kwargs)
        if response.status < 300:
            names = request.params["bucket_name"], request.params["object_id"]
            response["x-goog-generation"] = storage.get_file_obj(*names)["generation"]

    return handler
