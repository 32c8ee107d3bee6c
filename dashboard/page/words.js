// What things are called on the page.

export const EMOTIONS = ["happy", "surprise", "neutral", "sad", "fear", "disgust", "angry"];

const COVERAGE = {
  no_face: "no face",
  face_too_small: "face too small",
  too_dark: "too dark",
  blurred: "blurred",
  camera_off: "camera off",
  stalled: "picture stalled",
  not_consented: "did not consent",
  unsupported_codec: "cannot be decoded",
};

const REASONS = { changed: "changed from their own usual", not_visible: "not visible" };

// a bot of a later version may know more than this page
export const coverage = (state) => COVERAGE[state] ?? state.replaceAll("_", " ");

export const reason = (text) => REASONS[text] ?? text.replaceAll("_", " ");

export const percent = (share) => `${Math.round(share * 100)} %`;

/** Shares of one whole as whole percents that add up as they do: what rounding leaves goes to the largest remainders. */
export function percents(shares) {
  const exact = EMOTIONS.map((emotion) => shares[emotion] * 100);
  const whole = exact.map(Math.floor);
  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
  const left = Math.round(sum(exact)) - sum(whole);
  const remainder = (i) => exact[i] - whole[i];
  const byRemainder = EMOTIONS.map((_, i) => i).sort((i, j) => remainder(j) - remainder(i));
  for (const i of byRemainder.slice(0, left)) whole[i] += 1;
  return Object.fromEntries(EMOTIONS.map((emotion, i) => [emotion, `${whole[i]} %`]));
}

export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 120) return `${whole} s`;
  if (whole < 7200) return `${Math.floor(whole / 60)} min`;
  if (whole < 172800) return `${Math.floor(whole / 3600)} h`;
  return `${Math.floor(whole / 86400)} days`;
}

export const signed = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value).toFixed(2)}`;
