// A student in a Janus VideoRoom, with the least code that a browser needs; the tests call the methods of `student`.
"use strict";

class Student {
  constructor() {
    this.events = [];
    this.waiting = new Map();
    this.ids = {};
    this.sent = 0;
  }

  async join({ url, room, display, pin, secret }) {
    this.room = room;
    this.credentials = secret ? { apisecret: secret } : {};
    this.socket = new WebSocket(url, "janus-protocol");
    await new Promise((opened, failed) => {
      this.socket.onopen = opened;
      this.socket.onerror = () => failed(new Error("the WebSocket does not open"));
    });
    this.socket.onmessage = (message) => this.hear(JSON.parse(message.data));
    this.ids.session_id = (await this.ask({ janus: "create" })).data.id;
    this.ids.handle_id = (await this.ask({ janus: "attach", plugin: "janus.plugin.videoroom" })).data.id;
    this.keepalive = setInterval(() => this.send({ janus: "keepalive" }), 20_000);
    const joined = await this.request({ request: "join", ptype: "publisher", room, display, ...(pin ? { pin } : {}) });
    return joined.plugindata.data.id;
  }

  // what to publish: { simulcast, codec, width, height, audio, screen, retransmission, turn }; `screen` adds a second video line,
  // without `retransmission` a browser puts padding into the video's own stream, and `turn` (90, 180, 270) is the rotation in
  // degrees that a phone declares for its picture
  async publish(wish) {
    const { simulcast = true, codec = "VP8", width = 1280, height = 720, audio = false, screen = false, turn = 0 } = wish;
    this.retransmission = wish.retransmission ?? true;
    this.stream = await navigator.mediaDevices.getUserMedia({ audio, video: { width, height, frameRate: 30 } });
    document.getElementById("camera").srcObject = this.stream;
    this.peer = new RTCPeerConnection();
    this.peer.onicecandidate = ({ candidate }) =>
      this.send({ janus: "trickle", candidate: candidate ?? { completed: true } });
    for (const track of this.stream.getAudioTracks()) this.peer.addTransceiver(track, { direction: "sendonly" });
    const [camera] = this.stream.getVideoTracks();
    this.addVideo(turn ? turned(camera, turn) : camera, codec, simulcast ? layers() : [{}]);
    if (screen) this.addVideo(slides(), codec, [{}]);
    await this.peer.setLocalDescription();
    const videos = this.peer.getTransceivers().filter((each) => each.sender.track.kind === "video");
    const descriptions = videos.map(({ mid }, place) => ({ mid, description: place === 0 ? "camera" : "screen" }));
    const jsep = { type: "offer", sdp: this.peer.localDescription.sdp };
    const answer = await this.request({ request: "publish", descriptions }, jsep);
    await this.peer.setRemoteDescription(answer.jsep);
    await this.connected();
    return videos.map(({ mid }) => mid);
  }

  addVideo(track, codec, sendEncodings) {
    const transceiver = this.peer.addTransceiver(track, { direction: "sendonly", sendEncodings });
    const wanted = [`video/${codec}`, ...(this.retransmission ? ["video/rtx"] : [])];
    const { codecs } = RTCRtpSender.getCapabilities("video");
    transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => wanted.includes(mimeType)));
  }

  async connected() {
    while (this.peer.connectionState !== "connected") {
      if (this.peer.connectionState === "failed") throw new Error("no media path");
      await new Promise((changed) => (this.peer.onconnectionstatechange = changed));
    }
  }

  async unpublish() {
    await this.request({ request: "unpublish" });
    this.hush();
  }

  async leave() {
    await this.request({ request: "leave" });
    this.hush();
    this.hangUp();
  }

  // as if the browser were gone: nobody is told
  hangUp() {
    clearInterval(this.keepalive);
    this.socket.close();
  }

  // media ends, but the WebSocket stays open
  hush() {
    this.peer?.close();
    this.stream?.getTracks().forEach((track) => track.stop());
  }

  // each layer's size and number of frames sent, by rid
  async layers() {
    const report = [...(await this.peer.getStats()).values()].filter(({ type }) => type === "outbound-rtp");
    const videos = report.filter(({ kind }) => kind === "video");
    return Object.fromEntries(
      videos.map((each) => [each.rid ?? "", { width: each.frameWidth ?? 0, height: each.frameHeight ?? 0, frames: each.framesSent ?? 0 }]),
    );
  }

  request(body, jsep) {
    return this.ask({ janus: "message", body, ...(jsep ? { jsep } : {}) });
  }

  ask(message) {
    const transaction = this.send(message);
    return new Promise((resolve, reject) => this.waiting.set(transaction, { resolve, reject }));
  }

  send(message) {
    this.sent += 1;
    const transaction = `t${this.sent}`;
    this.socket.send(JSON.stringify({ ...message, transaction, ...this.ids, ...this.credentials }));
    return transaction;
  }

  hear(message) {
    const asked = this.waiting.get(message.transaction);
    if (message.janus === "ack" || !asked) {
      this.events.push(message);
      return;
    }
    this.waiting.delete(message.transaction);
    const trouble = message.error ?? message.plugindata?.data;
    const code = trouble?.code ?? trouble?.error_code;
    if (code) asked.reject(new Error(`${code}: ${trouble.reason ?? trouble.error}`));
    else asked.resolve(message);
  }
}

// three sizes of one picture, largest first, the order that Janus expects
function layers() {
  return [
    { rid: "h", maxBitrate: 900_000 },
    { rid: "m", maxBitrate: 300_000, scaleResolutionDownBy: 2 },
    { rid: "l", maxBitrate: 120_000, scaleResolutionDownBy: 4 },
  ];
}

// the same pictures, declared to need a clockwise turn by so many degrees
function turned(track, rotation) {
  const generator = new MediaStreamTrackGenerator({ kind: "video" });
  const marking = new TransformStream({
    transform(frame, pictures) {
      pictures.enqueue(new VideoFrame(frame, { rotation }));
      frame.close();
    },
  });
  new MediaStreamTrackProcessor({ track }).readable.pipeThrough(marking).pipeTo(generator.writable);
  return generator;
}

// a shared screen: changing slides
function slides() {
  const canvas = document.getElementById("screen");
  const context = canvas.getContext("2d");
  let shown = 0;
  setInterval(() => {
    context.fillStyle = shown++ % 2 ? "white" : "navy";
    context.fillRect(0, 0, canvas.width, canvas.height);
  }, 200);
  return canvas.captureStream(5).getVideoTracks()[0];
}

window.student = new Student();
