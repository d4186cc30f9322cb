FROM busybox:latest AS made
RUN dd if=/dev/urandom of=/noise bs=1000 count=6000
FROM busybox:latest
COPY --from=made /noise /var/noise
COPY message.txt /message.txt
CMD ["cat", "/message.txt"]
