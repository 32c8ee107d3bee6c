// The student's side of the room: the camera is not opened, and nothing is sent, before the student ticks the box and joins.

const element = (id) => document.getElementById(id);
const [form, nameField, consent, joinButton, leaveButton] = ["form", "name", "consent", "join", "leave"].map(element);
const [stage, preview, moodLabel, statusLine] = ["stage", "preview", "mood", "status"].map(element);
const [sign, readingButton] = ["sign", "reading"].map(element);
const [moodWords, moodPercent] = ["mood-words", "mood-percent"].map(element);

// in the fragment, which browsers do not send; a query would appear in logs. A plus sign there is a plus, not a space
const token = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B")).get("token");
const authorization = token ? { Authorization: `Bearer ${token}` } : {};

const COVERAGE = {
  no_face: "No face in the picture",
  face_too_small: "Your face is too small to read",
  too_dark: "Too dark to read",
  blurred: "The picture is blurred",
  camera_off: "Your camera is off",
  stalled: "No picture is arriving",
  not_consented: "You are not being read",
  unsupported_codec: "Your picture cannot be decoded",
};

const CAMERA_TROUBLE = {
  NotAllowedError: "The camera was refused. Allow it for this page, then join again.",
  NotFoundError: "No camera was found on this device.",
  NotReadableError: "The camera is in use by another program.",
};

/** An error whose message tells the student what to do. */
class Trouble extends Error {}

/** The current connection, or null. */
let present = null;

/** Why nobody who joins through this page is read, or an empty text. */
let unreadBecause = "";

/** What the page last showed about what the room publishes. */
let notice = "";

function say(text, kind = "news") {
  statusLine.textContent = text;
  statusLine.dataset.kind = kind;
}

function showState(state) {
  const focused = document.activeElement;
  const isNew = stage.dataset.state !== state;
  stage.dataset.state = state;
  leaveButton.hidden = state !== "on";
  joinButton.hidden = state === "on";
  nameField.disabled = consent.disabled = state !== "off";
  joinButton.disabled = state !== "off" || !(consent.checked || unreadBecause);
  readingButton.hidden = state !== "on" || Boolean(unreadBecause);
  sign.hidden = state !== "on";
  if (state === "off") {
    moodLabel.hidden = true;
    preview.srcObject = null;
  }
  if (isNew && (focused === document.body || focused?.hidden)) keepFocus();
}

/** Keyboard users must not lose their place when the focused button disappears. */
function keepFocus() {
  [readingButton, leaveButton, joinButton, consent].find((control) => !control.hidden && !control.disabled)?.focus();
}

/** The sign over the picture, and the one button, say whether the student is being read. */
function showReading(here, isRead) {
  here.isRead = consent.checked = isRead; // somebody who stops it and leaves must agree again
  if (!isRead) moodLabel.hidden = true;
  sign.dataset.read = isRead ? "yes" : "no";
  sign.textContent = isRead ? "You are being read" : "You are not being read";
  readingButton.textContent = isRead ? "Stop reading me" : "Let me be read again";
}

async function ask(url, options = {}) {
  let response;
  try {
    response = await fetch(url, { ...options, headers: { ...authorization, ...options.headers } });
  } catch {
    throw new Trouble("The room cannot be reached. Is it still open?");
  }
  if (response.status === 401) throw new Trouble("This room needs the link from your invitation.");
  if (!response.ok) throw new Trouble(`The room refused: ${(await response.text()).trim() || response.status}`);
  return response;
}

async function openCamera({ width, height, frames_per_second: rate }) {
  if (!navigator.mediaDevices) throw new Trouble("This page has no access to cameras: it must be opened over https.");
  const video = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: rate }, facingMode: "user" };
  try {
    return await navigator.mediaDevices.getUserMedia({ video, audio: false });
  } catch (error) {
    throw new Trouble(CAMERA_TROUBLE[error.name] ?? `The camera could not be opened: ${error.message}`);
  }
}

function preferVp8(transceiver) {
  const codecs = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  const isVp8 = ({ mimeType }) => mimeType.toLowerCase() === "video/vp8";
  transceiver.setCodecPreferences?.([...codecs.filter(isVp8), ...codecs.filter((codec) => !isVp8(codec))]);
}

/** Send no more than the room needs, even if the camera gives more than it was asked for. */
async function limit(sender, { width, height, frames_per_second: rate }) {
  const parameters = sender.getParameters();
  const given = sender.track.getSettings();
  const [encoding] = parameters.encodings;
  if (!encoding) return;
  encoding.scaleResolutionDownBy = Math.max(1, Math.min((given.width ?? width) / width, (given.height ?? height) / height));
  encoding.maxFramerate = rate;
  encoding.maxBitrate = Math.round(Math.max(100_000, width * height * rate * 0.15));
  // reading a face needs detail more than smooth motion
  parameters.degradationPreference = "maintain-resolution";
  await sender.setParameters(parameters);
}

function gathered(peer) {
  if (peer.iceGatheringState === "complete") return Promise.resolve();
  const complete = new Promise((resolve) => {
    peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && resolve());
  });
  // a STUN server that does not answer must not keep the student waiting
  return Promise.race([complete, new Promise((resolve) => setTimeout(resolve, 3000))]);
}

/** Publish by WHIP (RFC 9725); sets the session's address as soon as there is a session. */
async function publish(joining, configuration) {
  const { peer } = joining;
  await peer.setLocalDescription();
  await gathered(peer);
  const consents = unreadBecause ? "no" : "yes";
  const url = `${configuration.whip}?${new URLSearchParams({ name: nameField.value.trim(), consent: consents })}`;
  const headers = { "Content-Type": "application/sdp" };
  const response = await ask(url, { method: "POST", headers, body: peer.localDescription.sdp });
  joining.session = new URL(response.headers.get("Location"), response.url).href;
  const sdp = await response.text();
  if (present === joining) await peer.setRemoteDescription({ type: "answer", sdp });
}

function showMood({ coverage, emotion, confidence }) {
  if (!present?.isRead) return; // it was already on its way when the student stopped being read
  const reading = emotion === "unknown" || !emotion ? "Not sure" : `You look ${LOOKS[emotion] ?? emotion}`;
  const percent = coverage === "ok" && emotion && emotion !== "unknown" ? ` · ${Math.round(confidence * 100)} %` : "";
  const text = COVERAGE[coverage] ?? reading;
  if (moodWords.textContent !== text) moodWords.textContent = text;
  moodPercent.textContent = percent;
  moodLabel.dataset.emotion = coverage === "ok" ? (emotion ?? "") : "";
  moodLabel.hidden = false;
}

const LOOKS = { fear: "afraid", disgust: "disgusted", surprise: "surprised" };

function followMood(session) {
  const source = new EventSource(`${session}/mood`);
  source.addEventListener("message", (event) => showMood(JSON.parse(event.data)));
  // the last event of a session, sent even if the room closes and will no longer answer
  source.addEventListener("over", () => lose(session));
  // closed for good, not merely interrupted: the room no longer knows this session
  source.addEventListener("error", () => source.readyState === EventSource.CLOSED && lose(session));
  return source;
}

function inTheRoom() {
  if (unreadBecause) return `You are in the room, and you are not being read: ${unreadBecause}.`;
  return present.isRead ? "You are in the room, and you are being read." : "You are in the room, and you are not being read.";
}

/** Stop being read, or start again. While stopped, the camera's picture does not leave this device. */
async function changeReading() {
  const here = present;
  if (!here?.session || here.changing) return;
  here.changing = true;
  try {
    await (here.isRead ? stopReading(here) : beginReading(here));
  } catch (error) {
    if (present === here) say(error.message, "trouble"); // a student who left meanwhile has been told so
  } finally {
    here.changing = false;
  }
}

/** Sign and status line change together: a student who has stopped it must not be told that they are being read. */
function tellReading(here, isRead) {
  showReading(here, isRead);
  say(inTheRoom());
}

async function stopReading(here) {
  await here.sender.replaceTrack(null);
  if (present !== here) return;
  tellReading(here, false);
  try {
    await tellConsent(here, "no");
  } catch (error) {
    if (present !== here) return;
    // a room that did not hear it would still count the student as consenting
    leave();
    say(`${error.message} You have left instead, and are not being read.`, "trouble");
  }
}

async function beginReading(here) {
  await tellConsent(here, "yes");
  if (present !== here) return;
  tellReading(here, true);
  await here.sender.replaceTrack(here.camera.getVideoTracks()[0]);
}

const tellConsent = (here, word) => ask(`${here.session}/consent`, { method: "PUT", body: word });

function watchConnection(peer) {
  peer.addEventListener("connectionstatechange", () => {
    if (present?.peer !== peer) return;
    if (peer.connectionState === "connected" && present.session) say(inTheRoom());
    else if (peer.connectionState === "disconnected") say("The connection is interrupted …", "trouble");
    else if (peer.connectionState === "failed") lose(present.session);
  });
}

function stop() {
  const { peer, camera, moods } = present;
  present = null;
  moods?.close();
  peer?.close();
  camera?.getTracks().forEach((track) => track.stop());
  showState("off");
}

function lose(session) {
  if (!present || present.session !== session) return;
  endSession(session);
  stop();
  say("The connection to the room was lost. You can join again.", "trouble");
}

/** Tell the room, even while the page is closing; if this fails, the room notices by itself. */
function endSession(session) {
  if (session) fetch(session, { method: "DELETE", headers: authorization, keepalive: true }).catch(() => {});
}

function leave() {
  if (!present) return;
  endSession(present.session);
  stop();
  say("You have left. Nothing is sent any more.");
}

/** The camera was unplugged, or its permission was withdrawn. */
function loseCamera() {
  if (!present) return;
  leave();
  say("Your camera is no longer available, so you have left the room. Nothing is sent any more; you can join again.", "trouble");
}

async function join(joining) {
  showState("joining");
  say("Opening your camera …");
  const configuration = await (await ask("configuration.json")).json();
  if (noticeOf(configuration) !== notice) {
    // a room that was restarted may publish something other than what was agreed to
    show(configuration);
    consent.checked = false;
    throw new Trouble("What is published has changed. Read it above, then join again.");
  }
  joining.camera = await openCamera(configuration);
  if (present !== joining) return joining.camera.getTracks().forEach((track) => track.stop());
  preview.srcObject = joining.camera;
  say("Joining …");
  showReading(joining, !unreadBecause);
  const [track] = joining.camera.getVideoTracks();
  track.addEventListener("ended", loseCamera);
  joining.peer = new RTCPeerConnection({ iceServers: configuration.ice_servers, bundlePolicy: "max-bundle" });
  watchConnection(joining.peer);
  // a picture that would not be read is not sent
  const sent = unreadBecause ? "video" : track;
  const transceiver = joining.peer.addTransceiver(sent, { direction: "sendonly", streams: [joining.camera] });
  joining.sender = transceiver.sender;
  preferVp8(transceiver);
  await publish(joining, configuration);
  if (!unreadBecause && present === joining) await limit(transceiver.sender, configuration);
  if (present !== joining) return endSession(joining.session); // the student left while the room was answering
  joining.moods = followMood(joining.session);
  showState("on");
  if (joining.peer.connectionState === "connected") say(inTheRoom());
}

async function tryToJoin(event) {
  event.preventDefault();
  if (present || !(consent.checked || unreadBecause)) return;
  const joining = (present = {});
  try {
    await join(joining);
  } catch (error) {
    endSession(joining.session);
    if (present !== joining) return; // the student left meanwhile, and has been told so
    stop();
    say(error instanceof Trouble ? error.message : `Joining failed: ${error.message}`, "trouble");
  }
}

/** What is published, so that students know what they agree to. */
function describePublication({ level, names, retention_hours: hours, withdrawal_erases: erases, record_days: days, attention }) {
  const kept = `It is kept for ${forHours(hours)}, and at most for twice as long.`;
  if (level === "aggregate") return `Only the mood of the whole class is published, and nothing about you alone. ${kept}`;
  const under = names ? "under the name that you give" : "under a pseudonym, not under your name";
  const help = attention
    ? " They also receive a list of people who may need help: those whose face has looked less pleasant than is usual for them, " +
      "or who have been out of sight, for minutes."
    : "";
  const erased = erases ? " If you stop it, what was published about you since you last joined is erased." : "";
  const record = ` That you agreed, and until when, is kept for ${forHours(24 * days)}.`;
  return (
    `Your teacher receives the estimate ${under}, and learns when you come, go or cannot be seen.${help} ` +
    `${kept}${erased}${record}`
  );
}

function forHours(hours) {
  const [count, unit] = hours >= 48 ? [hours / 24, "day"] : hours >= 1 ? [hours, "hour"] : [hours * 60, "minute"];
  const rounded = Math.round(count * 10) / 10;
  return `${rounded} ${unit}${rounded === 1 ? "" : "s"}`;
}

const noticeOf = ({ published, unread_because: why }) => JSON.stringify([published, why]);

/** Show what the room publishes, and whether it reads those who join through this page. */
function show(configuration) {
  const { room, published, unread_because: why } = configuration;
  notice = noticeOf(configuration);
  element("room").textContent = room;
  element("published").textContent = describePublication(published);
  element("name-hint").textContent = published.names ? "as your teacher sees it" : "your teacher sees a pseudonym instead";
  introduceUnread(why ?? "");
}

async function introduce() {
  try {
    show(await (await ask("configuration.json")).json());
  } catch (error) {
    say(error.message, "trouble");
  }
}

/** In a room that does not read visitors there is nothing to agree to. */
function introduceUnread(why) {
  unreadBecause = why;
  element("notice").hidden = element("consent-field").hidden = Boolean(why);
  element("unread").hidden = !why;
  element("unread").textContent = `You will not be read: ${why}. You can still join; your picture is not sent.`;
  joinButton.textContent = why ? "Join without being read" : "Join with camera";
  showState(stage.dataset.state);
  if (why) say("Nothing is sent before you join.");
}

form.addEventListener("submit", tryToJoin);
consent.addEventListener("change", () => showState(stage.dataset.state));
readingButton.addEventListener("click", changeReading);
leaveButton.addEventListener("click", leave);
window.addEventListener("pagehide", leave);
showState("off");
introduce();
