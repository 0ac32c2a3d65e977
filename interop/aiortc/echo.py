"""aiortc calls the echo example: its own picture and tone come back.

    python echo.py --url http://127.0.0.1:8080/
"""

import peer


async def body(arguments):
    connection, watcher = await peer.echo(arguments.url)
    await watcher.gets(frames=60, audio_seconds=2, seconds=arguments.seconds)
    watcher.shows_the_picture()
    await connection.close()
    return watcher.figures()


peer.run("echo", body)
