"""One aiortc peer publishes by WHIP, another subscribes by WHEP: picture and sound arrive.

    python publish_subscribe.py --url http://127.0.0.1:8080/
"""

import peer


async def body(arguments):
    room = "aiortc"
    publisher, publisher_location = await peer.publish(arguments.url, room)
    peer.log("published")
    subscriber, subscriber_location, watcher = await peer.subscribe(arguments.url, room)
    peer.log("subscribed")
    await watcher.gets(frames=60, audio_seconds=2, seconds=arguments.seconds)
    watcher.shows_the_picture()
    seen = watcher.figures()
    # A second one comes while the first is served, and the first must not notice.
    late, late_location, late_watcher = await peer.subscribe(arguments.url, room)
    await late_watcher.gets(frames=20, audio_seconds=1, seconds=arguments.seconds)
    late_watcher.shows_the_picture()
    before = watcher.frames
    await peer.hang_up(late, late_location)
    more = before + 20
    await peer.until("frames after another subscriber hung up", arguments.seconds, lambda: watcher.frames >= more)
    sent = await peer.sent_figures(publisher)
    await peer.hang_up(subscriber, subscriber_location)
    await peer.hang_up(publisher, publisher_location)
    return {"publisher": sent, "subscriber": seen, "late": late_watcher.figures()}


peer.run("publish_subscribe", body)
