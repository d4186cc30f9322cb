# hint: when it runs
FROM busybox:latest
RUN head -c 5000000 /dev/zero > /zeros && rm /zeros
CMD ["true"]
