// The camera: a picture that runs, frames of it for a quick look, and the one that is taken.

/** A camera that runs into a video element until it is stopped. */
export class Camera {
  private stream: MediaStream | undefined;

  constructor(private readonly video: HTMLVideoElement) {}

  get running(): boolean {
    return this.stream !== undefined;
  }

  /** Start it; "user" is the side of the person, "environment" the other one. */
  async start(facing: "user" | "environment"): Promise<void> {
    this.stop();
    const wanted = { facingMode: facing, width: { ideal: 1280 }, height: { ideal: 960 } };
    this.stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    this.video.srcObject = this.stream;
    await this.video.play();
  }

  /** The present frame, its longer side at most `side` pixels. */
  async frame(side = Infinity): Promise<ImageBitmap> {
    const { videoWidth: width, videoHeight: height } = this.video;
    const scale = Math.min(1, side / Math.max(width, height));
    return createImageBitmap(this.video, {
      resizeWidth: Math.round(width * scale),
      resizeHeight: Math.round(height * scale),
    });
  }

  stop(): void {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = undefined;
    this.video.srcObject = null;
  }
}
